"""Which hosts are this machine: what is sent to them leaves it for no network and no proxy."""

from __future__ import annotations

import ipaddress


def is_loopback(host: str | None) -> bool:
    """Whether `host`, a name or an address without brackets, certainly is this machine.

    A name is resolved nowhere: of names only `localhost` is certain (RFC 6761, 6.3).
    """
    host = (host or "").rstrip(".").lower()
    if host == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
