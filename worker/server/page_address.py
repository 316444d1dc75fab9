"""Where the worker's own web page is, with a token in it for who reads the terminal."""

from __future__ import annotations

import ipaddress

from framewire.protocol import MAX_EXPIRATION, TokenRequest
from framewire.worker.config import Config

from .auth import Gate


def page_address(config: Config, gate: Gate, port: int) -> str:
    """An URL for a browser on this machine.

    With `auth jwt` a token that lives a day is in its fragment, which no browser sends to anybody.
    """
    scheme = "https" if config.ssl_certfile else "http"
    address = f"{scheme}://{_reachable(config.host)}:{port}/"
    if config.auth != "jwt":
        return address
    grant = TokenRequest(allowed_apps=(config.alias,), token_expiration=MAX_EXPIRATION)
    return f"{address}#token={gate.mint(grant)}"


def _reachable(host: str) -> str:
    """What a browser can ask for: the address of all interfaces is none."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host or "127.0.0.1"
    if address.is_unspecified:
        return "127.0.0.1" if address.version == 4 else "[::1]"
    return str(address) if address.version == 4 else f"[{address}]"
