"""What may be asked for through this process: a URL of fal's, read strictly.

Pure. A URL is held against a grammar that has no room for a user, a port, a fragment, another
scheme, or a character that anybody could read in another way; what is sent is built anew from it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from framewire.worker.server.fal_proxy.targets import QUEUE_HOST, REST_HOSTS, RUN_HOST, NoTarget

from .fal import HOSTS, KEYED_HOSTS

MOST_CHARS = 8192
_PATH = r"(?:/(?:[\w.~!$&'()*+,;=:@-]|%[0-9A-Fa-f]{2})*)+"
_QUERY = r"(?:[\w.~!$&'()*+,;=:@/?-]|%[0-9A-Fa-f]{2})*"
_URL = re.compile(rf"https://([a-z0-9.-]+)({_PATH})(?:\?({_QUERY}))?", re.ASCII)
_TOKENS = ("/tokens", "/tokens/")
_REALTIME_TOKENS = ("/tokens/realtime", "/tokens/realtime/")
_REST_PREFIX = "/storage/upload/"
"""All that a page needs of the REST API, where the same key can do anything to the account."""


@dataclass(frozen=True, slots=True)
class Target:
    """A request to one of fal's hosts.

    Attributes:
        path: with the query, as it is to be sent.
    """

    host: str
    path: str

    @property
    def gets_key(self) -> bool:
        """Whether the host asks for the key."""
        return self.host in KEYED_HOSTS

    @property
    def is_mint(self) -> bool:
        """Whether it asks for a token, which is not relayed: a caller could ask for any app's."""
        return self.is_realtime_mint or self._asks(_TOKENS)

    @property
    def is_realtime_mint(self) -> bool:
        """Whether it does so in the newer way, which names the app with its owner."""
        return self._asks(_REALTIME_TOKENS)

    def _asks(self, paths: tuple[str, ...]) -> bool:
        return self.host in REST_HOSTS and self.path.partition("?")[0] in paths


def read_target(url: str) -> Target:
    """The request that a URL of a caller's names.

    Raises:
        NoTarget: it is none that may be made; the message says what may.
    """
    found = _URL.fullmatch(url) if len(url) <= MOST_CHARS else None
    if found is None:
        raise NoTarget(f"Invalid request: {_shown(url)} is no plain https:// URL of fal's")
    host, path, query = found[1], found[2], found[3]
    if host not in HOSTS:
        raise NoTarget(f"Invalid request: {_shown(url)} is none of {', '.join(HOSTS)}")
    names = [unquote(name) for name in path.split("/")[1:]]
    if any(name in (".", "..") or "/" in name or "\\" in name for name in names):
        raise NoTarget(f"Invalid request: the path of {_shown(url)} leads elsewhere than it says")
    if "" in names[:-1] or not names[0]:
        raise NoTarget(f"Invalid request: {_shown(url)} has an empty name in its path")
    target = Target(host, path if query is None else f"{path}?{query}")
    if host in REST_HOSTS and not target.is_mint and not path.startswith(_REST_PREFIX):
        raise NoTarget(
            f"Invalid request: of {host} there are {_TOKENS[1]} and {_REST_PREFIX}… only, "
            f"not {_shown(url)}"
        )
    if host in (RUN_HOST, QUEUE_HOST) and len([name for name in names if name]) < 2:
        raise NoTarget(f"Invalid request: {_shown(url)} names no app")
    return target


def _shown(url: str) -> str:
    """Without the query, which may hold a token."""
    return ascii(url.partition("?")[0][:120])
