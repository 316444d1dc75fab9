"""How viewers and callers get in: the ASGI app, sockets and auth."""
