"""Opening a wire: token, handshake, ready. Turns every way that can fail into one exception.

Owns what is known of gateways: fal upgrades first and fails after, so a refusal may come as an
HTTP status, as a close code, as an error message, or as silence.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidHandshake, InvalidStatus
from websockets.http11 import Response

from framewire.protocol import MAX_MESSAGE_BYTES, Error, Event, Ready, State, Unknown, escaped

from .address import Address, redact
from .errors import (
    AuthError,
    CapacityError,
    ConnectError,
    ConnectionLost,
    FramewireError,
    error_from,
)
from .events import OnEvent, tell
from .routes import hint_for, open_socket, refuse_plaintext, way
from .tokens import TokenSource
from .validity import server_time, why_refused
from .wire import SocketWire, Wire

PING_INTERVAL = 20.0
PING_TIMEOUT = 60.0
"""Pongs wait behind frames that the caller is slow to read, so this exceeds the 30 s after which
a worker closes a stalled reader."""


_SECRET_HEADERS = {"authorization", "cookie", "proxy-authorization"}


class _Redacting(logging.Filter):
    """websockets logs requests and answers as they are: take the secrets out, and the controls."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg, record.args = escaped(redact(record.getMessage())), ()
        return True


logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Opener:
    """A `Connector`: each call opens a new wire to the same address.

    Attributes:
        open_timeout: seconds for the WebSocket handshake.
        ready_timeout: seconds from there to the worker's ready; a cold start may take long.
        allow_plaintext: a token may go to another machine without TLS.
        on_event: told of events (a place in the queue) that come before ready.
    """

    address: Address
    tokens: TokenSource
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    open_timeout: float = 30.0
    ready_timeout: float = 60.0
    close_timeout: float = 5.0
    allow_plaintext: bool = False
    on_event: OnEvent | None = None

    async def __call__(self) -> Wire:
        token = await self.tokens.get()
        try:
            socket = await self._open(token)
            wire = SocketWire(socket, str(self.address))
            try:
                await self._await_ready(wire)
            except AuthError as error:
                await wire.close()
                raise self._with_clock(error, token, socket.response) from error
            except BaseException:
                await wire.close()
                raise
        except AuthError:
            self.tokens.refused()
            raise
        return wire

    async def _open(self, token: str | None) -> ClientConnection:
        url, headers = self.address.url, dict(self.headers)
        if token is not None and self.address.is_fal:
            url = self.address.with_token(token)
        elif token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if token is not None or self.address.has_token or _SECRET_HEADERS & _lower(headers):
            refuse_plaintext(url, "the token", allowed=self.allow_plaintext)
        try:
            return await open_socket(
                url,
                additional_headers=headers,
                compression=None,
                max_size=MAX_MESSAGE_BYTES,
                open_timeout=self.open_timeout,
                close_timeout=self.close_timeout,
                ping_interval=PING_INTERVAL,
                ping_timeout=PING_TIMEOUT,
                logger=_socket_logger(),
            )
        except InvalidStatus as error:
            body = bytes(error.response.body or b"")
            refused = self._refused(error.response.status_code, body)
            if isinstance(refused, AuthError):
                refused = self._with_clock(refused, token, error.response)
            raise refused from None
        except TimeoutError:
            raise ConnectError(
                f"{self.address} did not answer within {self.open_timeout:g} s"
            ) from None
        except (OSError, EOFError, InvalidHandshake) as error:
            # From None: the chained exception could print the URL with its token.
            raise ConnectError(
                f"{self.address} cannot be reached{way(url)}: "
                f"{redact(str(error)) or type(error).__name__}",
                hint=hint_for(url, error),
            ) from None

    def _refused(self, status: int, body: bytes) -> FramewireError:
        said = redact(" ".join(body.decode("utf-8", "replace").split())[:200])
        reason = f"{self.address} answered HTTP {status}{f': {said}' if said else ''}"
        if status in (401, 403):
            return AuthError(reason, hint="a valid token is needed: pass key=, token= or secret=")
        if status == 404:
            return ConnectError(reason, hint="check the app id and the path")
        if status in (429, 503):
            return CapacityError(reason)
        return ConnectError(reason)

    def _with_clock(
        self, error: AuthError, token: str | None, response: Response | None
    ) -> AuthError:
        """The refusal, with what the server's clock tells about it."""
        token = token or self.address.token
        if token is None or response is None:
            return error
        found = why_refused(token, server_time(response.headers))
        if found is None:
            return error
        reason = f"{found.reason}, and was refused: {error.reason}"
        return AuthError(reason, code=error.code, hint=found.hint)

    async def _await_ready(self, wire: SocketWire) -> None:
        try:
            async with asyncio.timeout(self.ready_timeout):
                while wire.state is State.OPENING:
                    message = await wire.receive()
                    if isinstance(message, Error) and not message.ends_session:
                        # There are no params yet: it is the address that is wrong.
                        raise ConnectError(f"{self.address}: {message.reason}")
                    if isinstance(message, Error):
                        raise error_from(message)
                    if isinstance(message, Event):
                        tell(self.on_event, message)
                    elif not isinstance(message, Ready | Unknown):
                        logger.debug("%s before ready", type(message).__name__)
        except TimeoutError:
            raise ConnectError(
                f"{self.address} accepted, but was not ready within {self.ready_timeout:g} s",
                hint="a cold start may take longer: allow more with ready_timeout",
            ) from None
        except ConnectionLost as error:
            raise self._closed_early(error) from error

    def _closed_early(self, error: ConnectionLost) -> FramewireError:
        reason = f"{error.reason}, before it was ready"
        match error.close_code:
            case 1008:
                return AuthError(reason, hint="is the token valid, unexpired and for this app?")
            case 1011 if self.address.is_fal:
                return ConnectError(
                    reason, hint="does the app exist, may the key use it, does its runner start?"
                )
        return ConnectError(reason)


def _lower(headers: Mapping[str, str]) -> set[str]:
    return {name.lower() for name in headers}


def _socket_logger() -> logging.Logger:
    found = logging.getLogger("framewire.client.socket")
    if not found.filters:
        found.addFilter(_Redacting())
    return found
