"""What a program on this machine calls a server by the address that it binds."""

from __future__ import annotations

import ipaddress


def as_reached(host: str) -> str:
    """The host of an URL for `host`: the address of all interfaces is none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "127.0.0.1"
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"
