"""The endpoint under test: how it is reached, and the streams that the rules look at.

A stream costs the endpoint blocks, so each is made once and shared by the rules that need it.
Judges nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.exceptions import InvalidHandshake

from framewire.client.address import TOKEN_QUERY, Address, redact
from framewire.client.credentials import Credentials
from framewire.client.errors import ConnectError
from framewire.client.routes import open_socket, refuse_plaintext
from framewire.protocol import MAX_MESSAGE_BYTES
from framewire.protocol.steering import BlockShape

from .raw_socket import RawSocket
from .verdict import Skipped

T = TypeVar("T")


class Unreachable(Skipped):
    """No connection came about."""


@dataclass(frozen=True, slots=True)
class Timing:
    """How patient the suite is.

    Attributes:
        first: seconds for the first message of a socket or stream (a cold start).
        between: seconds between messages.
        quiet: seconds in which nothing comes where nothing must.
        fps: paces streams that are steered: unpaced, a fast endpoint would have made them to the
            end before a change arrives.
    """

    first: float = 60.0
    between: float = 10.0
    quiet: float = 0.5
    fps: float = 100.0


class Probe:
    """One run of the suite against one endpoint.

    Args:
        token: opens the endpoint; None where it asks for none.
        size: of the streams, where the endpoint is not left its own.
        allow_plaintext: keys and tokens may go to another machine without TLS.

    Attributes:
        shape: of its blocks: the hosted model's, until it tells another.
    """

    def __init__(
        self,
        address: Address,
        credentials: Credentials,
        token: str | None,
        *,
        size: tuple[int, int] | None = (128, 64),
        timing: Timing | None = None,
        allow_plaintext: bool = False,
    ) -> None:
        self.address = address
        self.credentials = credentials
        in_url = dict(parse_qsl(urlsplit(address.url).query)).get(TOKEN_QUERY)
        self.token = token or in_url
        self.size = size
        self.timing = timing or Timing()
        self.allow_plaintext = allow_plaintext
        self.shape = BlockShape()
        self.blocks = self.frames = 0
        self.opening_error = ""
        self._made: dict[Callable[[Probe], Awaitable[Any]], asyncio.Future[Any]] = {}

    @property
    def is_fal(self) -> bool:
        """Whether it is behind fal's gateway, whose own habits are no faults."""
        return self.address.is_fal

    @property
    def path(self) -> list[str]:
        return [name for name in urlsplit(self.address.url).path.split("/") if name]

    def params(self, **values: Any) -> dict[str, Any]:
        """Params of a stream like the others: small, from one seed; None takes a key out."""
        width, height = self.size or (None, None)
        found = {"prompt": "a lighthouse at dawn", "seed": 7, "width": width, "height": height}
        return {key: value for key, value in (found | values).items() if value is not None}

    async def once(self, make: Callable[[Probe], Awaitable[T]]) -> T:
        """What `make` makes, made at the first call."""
        if make not in self._made:
            self._made[make] = asyncio.ensure_future(make(self))
        found: T = await self._made[make]
        return found

    @asynccontextmanager
    async def socket(
        self,
        *,
        query: Mapping[str, str] | None = None,
        token: str | None = None,
        authorization: str | None = None,
        anonymous: bool = False,
        path: str | None = None,
        origin: str | None = None,
        compression: str | None = None,
    ) -> AsyncIterator[RawSocket]:
        """A socket that was opened, and nothing read from it.

        Args:
            query: added to the URL.
            token: in the URL, instead of the right one.
            authorization: the header, instead of the right token.
            anonymous: with no credentials at all.
            path: instead of the address's own.
            origin: of the web page that opens it; None where it is no page.

        Raises:
            Unreachable: there is no connection.
        """
        url, headers = self._door(token, authorization, anonymous)
        parts = urlsplit(url)
        pairs = [*parse_qsl(parts.query), *(query or {}).items()]
        url = urlunsplit(parts._replace(path=path or parts.path, query=urlencode(pairs)))
        try:
            if headers or TOKEN_QUERY in dict(pairs):
                refuse_plaintext(url, "the token", allowed=self.allow_plaintext)
            opened = await open_socket(
                url,
                additional_headers=headers | ({"Origin": origin} if origin else {}),
                compression=compression,
                max_size=MAX_MESSAGE_BYTES,
                open_timeout=self.timing.first,
                close_timeout=self.timing.between,
                logger=_silent(),
            )
        except (OSError, EOFError, InvalidHandshake, ConnectError) as error:
            self.opening_error = redact(str(error)) or type(error).__name__
            raise Unreachable(f"no connection: {self.opening_error}") from None
        try:
            yield RawSocket(opened, self._count, self.shape)
        finally:
            await opened.close()

    @asynccontextmanager
    async def ready(self, **options: Any) -> AsyncIterator[RawSocket]:
        """A socket that has read its first message.

        Raises:
            Skipped: it is not the one that says ready.
        """
        async with self.socket(**options) as socket:
            seen = await socket.until(lambda _: True, self.timing.first)
            if not seen.texts or seen.texts[0].get("status") != "ready":
                raise Skipped(f"it was not ready: {seen.told()}")
            yield socket

    def _count(self, begins_block: bool) -> None:
        self.frames += 1
        self.blocks += begins_block

    def _door(
        self, token: str | None, authorization: str | None, anonymous: bool
    ) -> tuple[str, dict[str, str]]:
        bare = self._without_token()
        if anonymous:
            return bare, {}
        if authorization is not None:
            return bare, {"Authorization": authorization}
        if token is not None:
            return self._with_token(bare, token), {}
        if self.token is None:
            return bare, {}
        if self.is_fal:
            return self._with_token(bare, self.token), {}
        return bare, {"Authorization": f"Bearer {self.token}"}

    def _without_token(self) -> str:
        parts = urlsplit(self.address.url)
        query = [pair for pair in parse_qsl(parts.query) if pair[0] != TOKEN_QUERY]
        return urlunsplit(parts._replace(query=urlencode(query)))

    def _with_token(self, url: str, token: str) -> str:
        parts = urlsplit(url)
        query = [*parse_qsl(parts.query), (TOKEN_QUERY, token)]
        return urlunsplit(parts._replace(query=urlencode(query)))


def _silent() -> logging.Logger:
    """websockets would log requests with the secrets in them."""
    found = logging.getLogger("framewire.client.check.socket")
    found.disabled = True
    return found
