"""What each caller holds or asks for: sockets, tokens, clips, expansions, counted by its address.

An address of IPv6 counts with its /64, which one line of a provider has whole. Loopback is exempt,
unless a proxy that is trusted names it as the caller. Knows addresses and numbers; what a refused
caller is told is for those who speak with it.
"""

from __future__ import annotations

import ipaddress
import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from framewire.protocol import is_loopback
from framewire.worker.config import Config
from framewire.worker.runtime.metrics import Metrics

from .buckets import Buckets
from .refusals import Reason, Refusals, Refused

logger = logging.getLogger(__name__)

MOST_SOCKETS = 4096
"""Open connections of all callers, with more than 2,048 websockets allowed twice as many."""


def address_counted(host: str) -> str:
    """What an address is counted as; what is none counts together with all that are none."""
    try:
        address = ipaddress.ip_address(plain_address(host))
    except ValueError:
        return "no address"
    if address.version == 4:
        return str(address)
    return str(ipaddress.IPv6Network((int(address) >> 64 << 64, 64)))


def plain_address(host: str) -> str:
    """An address of IPv4 as such, also where a socket for both families says it in IPv6."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host
    mapped = address.ipv4_mapped if address.version == 6 else None
    return str(mapped) if mapped else host


class Callers:
    """The counts of one server.

    Args:
        config: its limits for each address; 0 is none.
        is_trusted: whether a host's word on who calls is taken.
        room: sockets that there are descriptors for.
    """

    def __init__(
        self,
        config: Config,
        metrics: Metrics,
        refusals: Refusals,
        is_trusted: Callable[[str], bool],
        room: int,
    ) -> None:
        self._most = min(room, max(MOST_SOCKETS, 2 * config.max_connections))
        if room < config.max_connections:
            logger.warning(
                "there are descriptors for %d sockets, fewer than max_connections: raise the limit "
                "(ulimit -n)",
                room,
            )
        self._config = config
        self._metrics = metrics
        self._refusals = refusals
        self._is_trusted = is_trusted
        self._open = 0
        self._handshakes: Counter[str] = Counter()
        self._sockets: Counter[str] = Counter()
        self._clips: Counter[str] = Counter()
        self._mints = Buckets(config.caller_tokens)
        self._expansions = Buckets(config.caller_expansions)

    def arrive(self, host: str, port: int) -> Visit:
        """Count a connection in, from its being accepted on.

        Raises:
            Refused: it is to be closed at once.
        """
        host = plain_address(host)
        known = not self._is_trusted(host) and not is_loopback(host)
        key = address_counted(host) if known else None
        if self._open >= self._most:
            raise self._refusals.refused(
                Reason.CONNECTIONS, f"{self._most} connections are open", key
            )
        visit = Visit(self, (host, port), key)
        if key is not None:
            self._take(self._handshakes, key, self._config.caller_handshakes, Reason.HANDSHAKES)
        self._open += 1
        self._metrics.sockets.set(self._open)
        return visit

    @contextmanager
    def admitted(self, visit: Visit, client: tuple[str, int]) -> Iterator[Caller]:
        """Count a request or a websocket of a connection in, for the block.

        Args:
            client: who calls, as the proxies say that are trusted.

        Raises:
            Refused: the caller has as many sockets open as it may.
        """
        forwarded = client != visit.client
        if not forwarded and visit.key is not None:
            visit.seat()
            yield Caller(self, visit.key)
        elif not forwarded and is_loopback(client[0]):
            yield Caller(self, None)
        else:
            key = address_counted(client[0])
            self._take(self._sockets, key, self._config.caller_sockets, Reason.SOCKETS)
            try:
                yield Caller(self, key)
            finally:
                _give_back(self._sockets, key)

    def _take(self, counts: Counter[str], key: str, most: int, reason: Reason) -> None:
        if most and counts[key] >= most:
            message = f"{most} {_WHAT[reason]} are open from your address: close one first"
            raise self._refusals.refused(reason, message, key)
        counts[key] += 1

    def _leave(self, visit: Visit) -> None:
        self._open -= 1
        self._metrics.sockets.set(self._open)
        if visit.key is not None:
            _give_back(self._sockets if visit.seated else self._handshakes, visit.key)

    def _seat(self, key: str) -> None:
        self._take(self._sockets, key, self._config.caller_sockets, Reason.SOCKETS)
        _give_back(self._handshakes, key)

    def _mint(self, key: str) -> None:
        if not self._mints.take(key):
            message = f"your address asked for {self._mints.most} tokens within a minute"
            raise self._refusals.refused(Reason.TOKENS, f"{message}: ask again later", key)

    def _expand(self, key: str) -> None:
        if not self._expansions.take(key):
            message = f"your address had {self._expansions.most} prompts expanded within a minute"
            raise self._refusals.refused(Reason.EXPANSIONS, f"{message}: ask again later", key)

    @contextmanager
    def _clip(self, key: str) -> Iterator[None]:
        self._take(self._clips, key, self._config.caller_clips, Reason.CLIPS)
        try:
            yield
        finally:
            _give_back(self._clips, key)


_WHAT = {Reason.HANDSHAKES: "handshakes", Reason.SOCKETS: "sockets", Reason.CLIPS: "clips"}


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks; `key` is what it is counted as, None where it is exempt."""

    _callers: Callers | None
    key: str | None

    def check_expansion(self) -> None:
        """Count a prompt that is to be expanded.

        Raises:
            Refused: there were too many within a minute.
        """
        if self._callers is not None and self.key is not None:
            self._callers._expand(self.key)

    def check_mint(self) -> None:
        """Count an attempt to get a token, also one without the key.

        Raises:
            Refused: there were too many within a minute.
        """
        if self._callers is not None and self.key is not None:
            self._callers._mint(self.key)

    @contextmanager
    def clip(self) -> Iterator[None]:
        """Count a clip for the block.

        Raises:
            Refused: too many are under way.
        """
        if self._callers is None or self.key is None:
            yield
            return
        with self._callers._clip(self.key):
            yield

    def refused(self, reason: Reason, message: str) -> Refused:
        """Count a refusal; returns an error to raise."""
        if self._callers is None:
            return Refused(message)
        return self._callers._refusals.refused(reason, message, self.key)


EXEMPT = Caller(None, None)


@dataclass(slots=True, eq=False)
class Visit:
    """One connection, from its being accepted to its end: a handshake first, then a socket.

    Attributes:
        client: the other end, which may be a proxy.
        key: what it is counted as; None for loopback and the proxies that are trusted.
        caller: for a websocket, what its caller is counted as.
        body_until: the monotonic time until which the body of its request may come, where the app
            has let it take longer than others.
    """

    callers: Callers
    client: tuple[str, int]
    key: str | None
    caller: str | None = None
    came_at: float = field(default_factory=time.monotonic)
    seated: bool = False
    left: bool = False
    body_until: float = 0.0

    def seat(self) -> None:
        """Its first request is whole.

        Raises:
            Refused: its address has as many sockets as it may; it goes on as a handshake.
        """
        if self.key is not None and not self.seated:
            self.callers._seat(self.key)
            self.seated = True

    def leave(self) -> None:
        """Its end; a second one is none."""
        if not self.left:
            self.left = True
            self.callers._leave(self)


def _give_back(counts: Counter[str], key: str) -> None:
    counts[key] -= 1
    if not counts[key]:
        del counts[key]
