"""The way to a server: straight to this machine, else through the environment's proxy, if any.

One rule for HTTP and WebSockets, so that a token is minted the way that its stream goes. Owns what
may go over it in clear, and what a way that fails is called.
"""

from __future__ import annotations

import ssl
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as _connect
from websockets.exceptions import InvalidProxy, InvalidStatus, InvalidURI

from framewire.protocol import is_loopback

from .address import redact
from .errors import ConnectError, PlaintextError

_PORTS = {"http": 80, "ws": 80, "https": 443, "wss": 443}
_PROXIES = {
    "http": ("http", "socks", "all"),
    "https": ("https", "socks", "all"),
    "ws": ("ws", "socks", "https", "http", "all"),  # by RFC 6455, 4.1
    "wss": ("wss", "socks", "https", "all"),
}
_ANY_ADDRESS = ("0.0.0.0", "::")
SOCKS_EXTRA = "pip install 'framewire[socks]'"


def is_here(url: str) -> bool:
    """Whether `url` leads to this machine: what is sent there leaves it for no network."""
    host = urlsplit(url).hostname
    return is_loopback(host) or host in _ANY_ADDRESS


def refuse_plaintext(url: str, what: str, *, allowed: bool) -> None:
    """Keep a secret off the network where it would not be encrypted.

    Args:
        what: the secret's name, for the error.
        allowed: the caller wants it so.

    Raises:
        PlaintextError: it would go to another machine in clear.
    """
    parts = urlsplit(url)
    if allowed or parts.scheme not in ("http", "ws") or is_here(url):
        return
    raise PlaintextError(f"{what} would go to {parts.hostname} in clear, for others to read")


def proxy_for(url: str) -> str | None:
    """The proxy that the environment (or the system) names for `url`; may hold a password.

    Loopback has none, whatever the environment says.

    Raises:
        ConnectError: what it names is no URL.
    """
    parts = urlsplit(url)
    port = parts.port or _PORTS[parts.scheme]
    if is_here(url) or proxy_bypass(f"{parts.hostname}:{port}"):
        return None
    proxies = getproxies()
    for kind in _PROXIES[parts.scheme]:
        proxy = proxies.get(kind)
        if proxy:
            return _whole(proxy, kind)
    return None


def _whole(proxy: str, kind: str) -> str:
    """The proxy's URL from all that is written for one."""
    scheme, _, rest = proxy.rpartition("://")
    if kind == "socks" or scheme == "socks":
        scheme = "socks5h"
    url = f"{scheme or 'http'}://{rest}"
    try:
        urlsplit(url).port  # noqa: B018 - reading it is what checks it
    except ValueError as error:
        raise _no_proxy(proxy, error) from None
    return url


def http_client(url: str, *, timeout: float) -> httpx.AsyncClient:
    """A client for requests to `url`; it follows no redirect.

    Raises:
        ConnectError: the proxy cannot be used.
    """
    proxy = proxy_for(url)
    verify = httpx.create_ssl_context() if urlsplit(url).scheme == "https" else False
    try:
        return httpx.AsyncClient(timeout=timeout, proxy=proxy, trust_env=False, verify=verify)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        raise _no_proxy(proxy, error) from None


async def open_socket(url: str, **options: Any) -> ClientConnection:
    """Open a WebSocket; `options` are those of `websockets.connect`.

    Raises:
        ConnectError: the proxy or the URL cannot be used, or the server sends us elsewhere.
        OSError, EOFError, InvalidHandshake: as websockets raises them.
    """
    proxy = proxy_for(url)
    try:
        return await _Connect(url, proxy=proxy, **options)
    except (ImportError, InvalidProxy) as error:
        raise _no_proxy(proxy, error) from None
    except OSError:  # some of which are ValueErrors too
        raise
    except (InvalidURI, ValueError) as error:
        raise ConnectError(f"{redact(url)} cannot be opened: {redact(str(error))}") from None


class _Connect(_connect):
    """websockets' `connect`, which takes a caller's headers and secrets to no other server."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        if not isinstance(exc, InvalidStatus) or not 300 <= exc.response.status_code < 400:
            return super().process_redirect(exc)
        to = exc.response.headers.get_all("Location")
        if len(to) == 1 and _is_same_server(self.uri, to[0]):
            return super().process_redirect(exc)
        return ConnectError(
            f"{redact(self.uri)} sends on to {redact(' '.join(to))[:200]!r}",
            hint="if that is right, connect there",
        )


def _is_same_server(url: str, to: str) -> bool:
    """Whether a redirect leads to another path of the same one, in the same scheme."""
    try:
        here, goal = urlsplit(url), urlsplit(urljoin(url, to))
    except ValueError:
        return False
    return (here.scheme, here.netloc) == (goal.scheme, goal.netloc)


def way(url: str) -> str:
    """How `url` is reached, to go behind its name in a text: empty where straight."""
    proxy = proxy_for(url)
    return f" through the proxy {redact(proxy)}" if proxy else ""


def hint_for(url: str, error: BaseException) -> str:
    """What to do about an `error` in reaching `url`; empty where nothing is known to help."""
    secure = urlsplit(url).scheme in ("wss", "https")
    found: BaseException | None = error
    while found is not None:
        text = str(found)
        if isinstance(found, ssl.SSLCertVerificationError) or "CERTIFICATE_VERIFY" in text:
            own = ", as `framewire-worker env` does for --self-signed" if is_here(url) else ""
            return f"its certificate is not trusted here: SSL_CERT_FILE names a file of authorities{own}"
        if secure and (isinstance(found, _CUT) or any(sign in text for sign in _NO_TLS)):
            return "it seems to speak no TLS at that port: use ws:// (http://), or another port"
        found = found.__cause__ or found.__context__
    return "is the worker running there?" if is_here(url) else ""


_NO_TLS = ("WRONG_VERSION_NUMBER", "UNKNOWN_PROTOCOL", "HTTP_REQUEST", "RECORD_LAYER_FAILURE")
"""What OpenSSL calls an answer that is not TLS, by release and by what was answered."""
_CUT = (ConnectionResetError, BrokenPipeError, EOFError, ssl.SSLEOFError)
"""How a server without TLS may end a handshake that it does not understand."""


def _no_proxy(proxy: str | None, error: Exception) -> ConnectError:
    where = f"the proxy {redact(proxy or '')}"
    if isinstance(error, ImportError):
        return ConnectError(
            f"{where} needs a package that is not installed",
            hint=f"{SOCKS_EXTRA}, or take it out of the environment (all_proxy and its kin)",
        )
    return ConnectError(f"{where} cannot be used: {redact(str(error))}")
