"""Where to connect: URLs and fal app ids become one `Address`; secrets in text become dots.

Knows no credentials and opens nothing.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from urllib.parse import SplitResult, parse_qsl, urlencode, urlsplit, urlunsplit

from framewire.protocol import FAL_RUN_HOST, FAL_TOKEN_URL, AppId

from .errors import AddressError

DEFAULT_ALIAS = "krea-wan-14b"
TOKEN_QUERY = "fal_jwt_token"

_KREAS_OWN = re.compile(r"\s*\w+://[^/]*/session/")
_PLACE = re.compile(r"(?P<host>\[[0-9a-fA-F:.]+\]|[\w.-]+)(:(?P<port>\d+))?")
_SCHEMES = {"ws": "ws", "wss": "wss", "http": "ws", "https": "wss"}
_SECRETS = (
    (re.compile(rf"({TOKEN_QUERY}=)[^&\s\"']+"), r"\1…"),
    (
        re.compile(r"(?i)([?&][\w-]*(?:token|key|secret|passw|pwd|auth|sign)[\w-]*=)[^&\s\"']+"),
        r"\1…",
    ),
    (re.compile(r"(?i)(authorization:\s*)[^\r\n]+"), r"\1…"),
    (re.compile(r"\b((?:Bearer|Key)\s+)[^\s\"',]+"), r"\1…"),
    (re.compile(r"\beyJ[\w-]+\.[\w-]+\.[\w-]*"), "…"),
    (re.compile(r"(//)[^/\s]+@"), r"\1…@"),
)


@dataclass(frozen=True, slots=True)
class Address:
    """One endpoint.

    Attributes:
        url: the WebSocket URL, which may hold a token; `str()` gives it redacted.
        alias: the app's last name, which tokens are minted for.
        token_url: where a key is turned into a token.
        is_fal: fal's gateway is in front, which wants the token in the query.
    """

    url: str
    alias: str
    token_url: str
    is_fal: bool

    def __str__(self) -> str:
        return redact(self.url)

    def __repr__(self) -> str:
        return f"<Address {self}>"

    @property
    def token(self) -> str | None:
        """The one in the URL."""
        return dict(parse_qsl(urlsplit(self.url).query)).get(TOKEN_QUERY)

    @property
    def has_token(self) -> bool:
        return self.token is not None

    def with_token(self, token: str) -> str:
        """The URL that carries `token` in its query."""
        parts = urlsplit(self.url)
        query = [pair for pair in parse_qsl(parts.query) if pair[0] != TOKEN_QUERY]
        return urlunsplit(parts._replace(query=urlencode([*query, (TOKEN_QUERY, token)])))


def parse_address(
    url_or_app: str, *, run_host: str = FAL_RUN_HOST, token_url: str | None = None
) -> Address:
    """The address that `url_or_app` means.

    Args:
        url_or_app: `ws://`, `wss://`, `http://` or `https://` URL (without a path: `/ws`), or a
            fal app id such as `fal-ai/krea-wan-14b`, with or without `/ws`. The scheme may be
            left out where a port, `localhost` or an IP address tells a host from an app's owner:
            it is `wss` for port 443, else `ws`.
        run_host: the host behind app ids.
        token_url: where to mint, instead of fal's `/tokens/` or, for other hosts, their own.

    Raises:
        AddressError: it is neither.
    """
    text = url_or_app.strip()
    if token_url is not None and not _is_http(token_url):
        raise AddressError(
            f"{redact(token_url)!r} is no URL to mint tokens at", hint="like https://host/tokens/"
        )
    if "://" in text:
        return _from_url(text, run_host, token_url)
    certain = _with_scheme(text)
    if certain is not None:
        return _from_url(certain, run_host, token_url)
    try:
        app = AppId.parse(text)
    except ValueError:
        place = "…@" * ("@" in text) + text.rpartition("@")[2]
        raise AddressError(
            f"{redact(place)!r} is neither a WebSocket URL nor an app id",
            hint="like ws://127.0.0.1:8000/ws or fal-ai/krea-wan-14b",
        ) from None
    url = f"wss://{run_host}{app.socket_path()}"
    return Address(url, app.alias, token_url or _token_url(urlsplit(url)), is_fal=True)


def _with_scheme(text: str) -> str | None:
    """The URL that `text` certainly is without its scheme; None where it may be an app id."""
    place = re.split(r"[/?]", text, maxsplit=1)[0]
    rest = text[len(place) :]
    if _is_ip(place):  # an IPv6 address without brackets is bare, too
        port = ""
        place = f"[{place}]" if ":" in place else place
    else:
        found = _PLACE.fullmatch(place)
        if found is None:
            return None
        host, port = found["host"].strip("[]"), found["port"] or ""
        if not port and host.lower() != "localhost" and not _is_ip(host):
            return None
    return f"{'wss' if port == '443' else 'ws'}://{place}{rest}"


def _is_ip(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _from_url(text: str, run_host: str, token_url: str | None) -> Address:
    try:
        parts = urlsplit(text)
        parts.port  # noqa: B018 - reading it is what checks it
    except ValueError:
        raise AddressError(f"{redact(text)!r} is no URL") from None
    if parts.username is not None and not parts.password:
        raise AddressError(f"{redact(text)!r} names a user without a password")
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise AddressError(
            f"{redact(text)!r} is no WebSocket URL", hint="it begins with ws:// or wss://"
        )
    path = parts.path.rstrip("/") or "/ws"
    names = [name for name in path.split("/") if name]
    alias = names[1] if len(names) == 3 and names[0] != "session" else DEFAULT_ALIAS
    is_fal = _is_fals_own(parts) or parts.netloc == run_host
    url = urlunsplit((_SCHEMES[parts.scheme], parts.netloc, path, parts.query, ""))
    return Address(url, alias, token_url or _token_url(parts), is_fal)


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False


def _is_fals_own(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    return host == FAL_RUN_HOST or host.endswith(f".{FAL_RUN_HOST}")


def _token_url(parts: SplitResult) -> str:
    """fal's for fal's own hosts only: a key for another gateway is no business of fal's."""
    if _is_fals_own(parts):
        return FAL_TOKEN_URL
    scheme = "https" if _SCHEMES[parts.scheme] == "wss" else "http"
    return urlunsplit((scheme, parts.netloc, "/tokens/", "", ""))


def is_kreas_own(url: str) -> bool:
    """Whether a URL has the shape of Krea's own server: `/session/{id}`."""
    return _KREAS_OWN.match(url) is not None


def redact(text: str) -> str:
    """`text` with keys, tokens and passwords replaced by dots."""
    for pattern, replacement in _SECRETS:
        text = pattern.sub(replacement, text)
    return text
