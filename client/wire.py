"""One WebSocket that speaks the protocol: typed messages in and out, and what its end means.

`Wire` is what a session talks through and `Connector` what makes one: whoever wants to reconnect
wraps these two and changes nothing else. Opening is in `opening`; frames are counted elsewhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConcurrencyError, ConnectionClosed

from framewire.protocol import (
    BlockDone,
    CloseCode,
    Completed,
    Connection,
    Frame,
    FromWorker,
    Params,
    ProtocolError,
    Queued,
    RemoteProtocolError,
    Role,
    Started,
    State,
    Steer,
    Steered,
    Warned,
    parse_text,
)
from framewire.protocol.steering import BlockShape

from .errors import CapacityError, ConnectionLost
from .limits.order import FrameOrder

SEND_TIMEOUT = 30.0
STRAGGLERS = 0.5
"""Seconds to wait for frames that `completed` has overtaken (Krea's server sends it early)."""

logger = logging.getLogger(__name__)


CLOSED = (ConnectionLost, CapacityError)
"""What ends a connection without a message; the latter where the close says that it is full."""


class Wire(Protocol):
    """What a session needs of a connection."""

    @property
    def state(self) -> State:
        """Where the conversation is."""

    async def send(self, message: Params | Steer) -> None:
        """Say something to the worker."""

    async def receive(self) -> FromWorker:
        """The next message; cancelling loses none."""

    async def close(self) -> None:
        """Close it. Never raises; may be called twice."""


Connector = Callable[[], Awaitable[Wire]]
"""Opens a wire on which the worker has said ready, with a token that is good now."""


class SocketWire:
    """A `Wire` over a WebSocket.

    Args:
        socket: just opened.
        name: what to call the other side in errors; free of secrets.
    """

    def __init__(self, socket: ClientConnection, name: str) -> None:
        self._socket = socket
        self._name = name
        self._protocol = Connection(Role.CLIENT)
        self._held_back: str | None = None
        self._after: deque[str] = deque()
        self._frames = 0
        self._frames_due: int | None = None
        self._in_order = False
        self._unanswered = 0  # bytes of the largest message since the last one came
        self._order = FrameOrder(name)

    @property
    def state(self) -> State:
        return self._protocol.state

    async def send(self, message: Params | Steer) -> None:
        data = self._protocol.send(message)
        self._unanswered = max(self._unanswered, len(data))
        if isinstance(message, Params):
            self._frames, self._frames_due = 0, None
        self._order.sent(message)
        if message.num_blocks is not None:
            # Of the hosted model; whoever has another one says so, and keeps `completed` last.
            self._frames_due = BlockShape().frames(message.num_blocks)
        try:
            async with asyncio.timeout(SEND_TIMEOUT):
                await self._socket.send(data)
        except ConnectionClosed as closed:
            raise lost(self._name, closed, self._unanswered) from closed
        except TimeoutError:
            raise ConnectionLost(
                f"{self._name} took nothing for {SEND_TIMEOUT:g} s", unanswered=self._unanswered
            ) from None

    async def receive(self) -> FromWorker:
        while True:
            data = await self._next()
            streaming = self.state is State.STREAMING
            try:
                message = cast(FromWorker, self._protocol.receive(data))
            except RemoteProtocolError as error:
                if isinstance(data, bytes):
                    self._order.unread()
                # The reference server says `completed` twice; nothing is lost by going on.
                logger.debug("%s sent what the protocol does not allow: %s", self._name, error)
                continue
            self._unanswered = 0
            if isinstance(message, Frame):
                self._frames += 1
            binary = isinstance(data, bytes)
            self._order.received(message, binary=binary, streaming=streaming)
            # Our worker, told by what only it says, keeps `completed` last.
            self._in_order = self._in_order or _is_ours(message)
            return message

    async def close(self) -> None:
        # The peer's close waits behind the frames that nobody has read: read them away.
        discarding = asyncio.create_task(self._discard())
        try:
            await self._socket.close()
        except (ConnectionClosed, OSError, TimeoutError) as error:
            logger.debug("closing %s: %s", self._name, error)
        finally:
            discarding.cancel()

    async def _discard(self) -> None:
        with contextlib.suppress(ConnectionClosed, ConcurrencyError):
            while True:
                await self._socket.recv()

    async def _next(self) -> bytes | str:
        """What the socket delivers, `completed` put back behind the frames it has overtaken."""
        if self._held_back is None:
            if self._after:
                return self._after.popleft()
            data = await self._read()
            if not self._may_be_early(data):
                return data
            self._held_back = str(data)
        try:
            if self._frames_due is None or self._frames < self._frames_due:
                async with asyncio.timeout(STRAGGLERS):
                    data = await self._read()
                if isinstance(data, bytes):
                    return data
                self._after.append(data)
        except (TimeoutError, *CLOSED):
            pass  # no more frames; if the socket is closed, the next read says so
        completed, self._held_back = self._held_back, None
        return completed

    async def _read(self) -> bytes | str:
        try:
            return await self._socket.recv()
        except ConnectionClosed as closed:
            raise lost(self._name, closed, self._unanswered) from closed

    def _may_be_early(self, data: bytes | str) -> bool:
        if self._in_order or isinstance(data, bytes) or self.state is not State.STREAMING:
            return False
        if self._frames_due is not None and self._frames >= self._frames_due:
            return False
        try:
            return parse_text(data).get("status") == Completed().status
        except ProtocolError:
            return False


def _is_ours(message: FromWorker) -> bool:
    if isinstance(message, Frame):
        return message.index is not None
    return isinstance(message, Queued | Started | BlockDone | Steered | Warned)


def lost(
    name: str, closed: ConnectionClosed, unanswered: int = 0
) -> ConnectionLost | CapacityError:
    """The exception for a close that nobody asked for; one of `CLOSED`.

    Args:
        unanswered: bytes of the largest message that was sent since the last one came.
    """
    frame = closed.rcvd
    if frame is None:
        if closed.sent is not None and closed.sent.reason:
            return ConnectionLost(
                f"the connection to {name} broke: {closed.sent.reason}", unanswered=unanswered
            )
        return ConnectionLost(f"the connection to {name} broke", unanswered=unanswered)
    said = f": {frame.reason}" if frame.reason else " without a reason"
    reason = f"{name} closed with {frame.code}{said}"
    if frame.code == CloseCode.TRY_LATER:
        return CapacityError(reason)
    return ConnectionLost(
        reason, close_code=frame.code, hint=_HINTS.get(frame.code), unanswered=unanswered
    )


_HINTS = {
    1008: "the token may have expired, or a limit was passed",
    1009: "a message was too large for it",
    1012: "it is being restarted; connect anew",
}
