"""How the hub is asked: to which addresses its token goes, and which no proxy may see.

A token is for the hub alone: neither for the storage that the hub sends us to nor, in clear, for
a network.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import Any, Literal
from urllib.parse import urlsplit
from urllib.request import getproxies

from framewire.protocol import is_loopback

Token = str | Literal[False] | None
"""As huggingface_hub takes it: False for none, None for HF_TOKEN or the stored login."""

_PORTS = {"http": 80, "https": 443}


def origin(url: str) -> tuple[str, str, int | None]:
    """Scheme, host and port: what must be equal for a secret to go there (RFC 6454)."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or _PORTS.get(parts.scheme)


def is_private(url: str) -> bool:
    """Whether what is sent there can be read by nobody on the way."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname)


def reach(hub_url: str) -> None:
    """Have huggingface_hub ask a hub on this machine without a proxy."""
    if not (is_loopback(urlsplit(hub_url).hostname) and getproxies()):
        return
    utils: Any = importlib.import_module("huggingface_hub.utils")
    http: Any = importlib.import_module("huggingface_hub.utils._http")

    def direct() -> Any:
        return http_library().Client(
            event_hooks={"request": [http.hf_request_event_hook]},
            follow_redirects=True,
            timeout=None,
            trust_env=False,
        )

    utils.set_client_factory(direct)


def http_library() -> Any:
    """The HTTP client that huggingface_hub uses: its releases from 2.0 on bring their own."""
    return importlib.import_module("httpx2" if importlib.util.find_spec("httpx2") else "httpx")
