"""The operator's rule about what may be fetched: names, patterns, networks, public addresses.

Pure: it judges names and addresses, and resolves and opens nothing.
"""

from __future__ import annotations

import ipaddress
import re

Address = ipaddress.IPv4Address | ipaddress.IPv6Address

_NAT64 = ipaddress.ip_network("64:ff9b::/96")
_NAME = re.compile(r"[a-z0-9_-]+(\.[a-z0-9_-]+)*")


class AllowedHosts:
    """The operator's `video_hosts`: which hosts, and which private networks, may be asked.

    Raises:
        ValueError: an item is neither a host, a pattern nor a network.
    """

    def __init__(self, text: str) -> None:
        self._hosts: set[str] = set()
        self._networks: list[ipaddress.IPv4Network | ipaddress.IPv6Network] = []
        for item in filter(None, (part.strip().lower() for part in text.split(","))):
            try:
                self._networks.append(ipaddress.ip_network(item))
            except ValueError:
                if item != "*" and not _NAME.fullmatch(item.removeprefix("*.")):
                    raise ValueError(
                        f"video_hosts: {item!r} is no host name, *.pattern or network"
                    ) from None
                self._hosts.add(item)

    def __bool__(self) -> bool:
        return bool(self._hosts or self._networks)

    def allows_name(self, host: str) -> bool:
        """Whether `host`, a name in small letters, may be resolved and asked."""
        if not _NAME.fullmatch(host):
            return False
        parents = host.split(".")[1:]
        suffixes = {"*." + ".".join(parents[at:]) for at in range(len(parents))}
        return bool(self._hosts & ({"*", host} | suffixes))

    def allows_address(self, address: Address, *, named: bool) -> bool:
        """Whether a connection may go to `address`; `named`: an allowed name led there."""
        if any(address in network for network in self._networks):
            return True
        return (named or "*" in self._hosts) and _is_public(address)


def _is_public(address: Address) -> bool:
    """Whether `address`, and every IPv4 address wrapped in it, is one of the open internet."""
    wrapped: list[ipaddress.IPv4Address | None] = []
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return _is_public(address.ipv4_mapped)
        if address in _NAT64:
            return _is_public(ipaddress.IPv4Address(address.packed[-4:]))
        wrapped = [address.sixtofour, *(address.teredo or ())]
    if any(inner is not None and not _is_public(inner) for inner in wrapped):
        return False
    return address.is_global and not (address.is_multicast or address.is_reserved)
