"""One connection as the suite sees it: bare messages in and out, and how it ended.

No state machine here on purpose: what an endpoint says is recorded as it came, so that each rule
can judge it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed

from framewire.protocol import RemoteProtocolError, pack_map, parse_text, unpack_map
from framewire.protocol.steering import BlockShape

Said = bytes | dict[str, Any]
"""A BINARY message, or what a TEXT says (`{"": text}` where it is no JSON object)."""
Ending = Literal["wanted", "closed", "silence", "endless"]
_MOST_MESSAGES = 5_000
_MOST_BYTES = 512_000_000
_MOST_SECONDS = 600.0


@dataclass(slots=True)
class Seen:
    """What came, in order, until what was wanted came, the socket closed, or nothing came.

    Attributes:
        close: code and reason, where it closed.
    """

    messages: list[Said] = field(default_factory=list)
    ending: Ending = "silence"
    close: tuple[int, str] | None = None

    @property
    def frames(self) -> list[bytes]:
        return [message for message in self.messages if isinstance(message, bytes)]

    @property
    def texts(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if isinstance(message, dict)]

    @property
    def errors(self) -> list[dict[str, Any]]:
        return [text for text in self.texts if "error" in text]

    @property
    def completed(self) -> bool:
        return any(is_completed(message) for message in self.messages)

    @property
    def envelopes(self) -> list[dict[str, Any]]:
        """The maps of a `fmt=msgpack` stream; empty where frames are bare JPEGs."""
        found = []
        for frame in self.frames:
            if frame.startswith(b"\xff\xd8"):
                continue
            try:
                found.append(unpack_map(frame))
            except RemoteProtocolError:
                continue
        return [envelope for envelope in found if "image" in envelope]

    def events(self, kind: str) -> list[dict[str, Any]]:
        return [text for text in self.texts if text.get("type") == kind]

    def told(self) -> str:
        """In words, for a report."""
        if self.errors:
            error = self.errors[0]
            return f"it said {str(error.get('reason') or error['error'])[:100]!r}"
        if self.close is not None:
            return f"it closed with {self.close[0]}{self.close[1] and f' ({self.close[1]})'}"
        what = f"{len(self.frames)} frames came" if self.frames else "nothing came"
        if self.ending == "endless":
            return f"{len(self.messages)} messages came, and no end"
        return what if self.ending == "wanted" else f"{what}, then silence"


def is_ready(message: Said) -> bool:
    return isinstance(message, dict) and message.get("status") == "ready"


def is_completed(message: Said) -> bool:
    return isinstance(message, dict) and message.get("status") == "completed"


def is_error(message: Said) -> bool:
    return isinstance(message, dict) and "error" in message


def is_end(message: Said) -> bool:
    """Completed or an error: what a stream, or params, can end with."""
    return is_completed(message) or is_error(message)


def told_shape(said: Mapping[str, Any]) -> BlockShape | None:
    """Frames a block, where this is what tells of them."""
    first, later = said.get("first_block_frames"), said.get("block_frames")
    if said.get("type") != "started" or type(first) is not int or type(later) is not int:
        return None
    return BlockShape(first, later) if first > 0 and later > 0 else None


def is_answer(message: Said) -> bool:
    """An error, or the first frame: what params can be answered with."""
    return isinstance(message, bytes) or is_end(message)


class RawSocket:
    """An open connection.

    Args:
        on_frame: told of each frame, and whether a block begins with it.
        shape: of the endpoint's blocks, as far as it is known; what `started` tells goes into it.

    Attributes:
        first_text: the first TEXT, letter by letter.
    """

    def __init__(
        self, socket: ClientConnection, on_frame: Callable[[bool], None], shape: BlockShape
    ) -> None:
        self.socket = socket
        self._shape = shape
        self._on_frame = on_frame
        self._in_stream = 0
        self.first_text: str | None = None

    async def say(self, values: Mapping[Any, Any]) -> None:
        await self.say_raw(pack_map(dict(values)))

    async def say_raw(self, data: bytes | str | Iterable[bytes]) -> None:
        """Send, in fragments if there are some; a socket that has closed shows when it is read."""
        try:
            async with asyncio.timeout(30):
                await self.socket.send(data)
        except (ConnectionClosed, TimeoutError):
            return

    async def until(self, wanted: Callable[[Said], bool], seconds: float) -> Seen:
        """Everything up to the first message that is wanted, `seconds` of silence, or the close.

        What has no end is left after 5,000 messages, 512 MB or ten minutes.
        """
        seen, size, until = Seen(), 0, asyncio.get_running_loop().time() + _MOST_SECONDS
        while len(seen.messages) < _MOST_MESSAGES and size < _MOST_BYTES:
            if asyncio.get_running_loop().time() > until:
                break
            try:
                async with asyncio.timeout(seconds):
                    data = await self.socket.recv()
            except TimeoutError:
                return seen
            except ConnectionClosed as error:
                received = error.rcvd
                seen.close = (received.code, received.reason) if received else (1006, "")
                seen.ending = "closed"
                return seen
            size += len(data)
            seen.messages.append(self._read(data))
            if wanted(seen.messages[-1]):
                seen.ending = "wanted"
                return seen
        seen.ending = "endless"
        return seen

    async def stream(
        self, first: float, between: float, wanted: Callable[[Said], bool] = is_end
    ) -> Seen:
        """Everything of a stream: `first` seconds until it begins, `between` from then on."""
        seen = await self.until(lambda message: is_answer(message) or wanted(message), first)
        if seen.ending == "wanted" and not wanted(seen.messages[-1]):
            more = await self.until(wanted, between)
            seen = Seen(seen.messages + more.messages, more.ending, more.close)
        return seen

    async def closing(self, seconds: float) -> Seen:
        """Everything until the socket closes."""
        return await self.until(lambda _: False, seconds)

    def _read(self, data: bytes | str) -> Said:
        if isinstance(data, bytes):
            at = self._in_stream
            self._on_frame(at == 0 or self._shape.block_of(at) > self._shape.block_of(at - 1))
            self._in_stream += 1
            return data
        if self.first_text is None:
            self.first_text = data
        try:
            said = parse_text(data)
        except RemoteProtocolError:
            return {"": data}
        if is_completed(said):
            self._in_stream = 0
        told = told_shape(said)
        if told is not None:
            self._shape.first, self._shape.later = told.first, told.later
        return said
