"""How uvicorn is run: a server that binds, drains and ends, its HTTP and its websockets with what they lack."""
