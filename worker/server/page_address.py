"""Where the worker's own web page is, with a token in it for who reads the terminal."""

from __future__ import annotations

from framewire.protocol import MAX_EXPIRATION, TokenRequest
from framewire.worker.config import Config
from framewire.worker.reachable import as_reached

from .auth import Gate


def page_address(config: Config, gate: Gate, port: int) -> str:
    """An URL for a browser on this machine.

    With `auth jwt` a token that lives a day is in its fragment, which no browser sends to anybody.
    """
    scheme = "https" if config.ssl_certfile else "http"
    address = f"{scheme}://{as_reached(config.host)}:{port}/"
    if config.auth != "jwt":
        return address
    grant = TokenRequest(allowed_apps=(config.alias,), token_expiration=MAX_EXPIRATION)
    return f"{address}#token={gate.mint(grant)}"
