"""A viewer in bare `websockets` and `msgpack`, as somebody without our client would write it."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import msgpack
import numpy as np
import websockets
from numpy.typing import NDArray
from PIL import Image
from websockets.asyncio.client import ClientConnection

PATIENCE = 60.0
READY = '{"status":"ready"}'
SMALL: dict[str, Any] = {"width": 128, "height": 64}


@dataclass(frozen=True)
class Closed:
    """The socket's end, where a message was awaited."""

    code: int
    reason: str


@dataclass(frozen=True)
class Received:
    """What came, in order: bytes, what a text said, or `Closed`."""

    messages: list[Any]

    @property
    def frames(self) -> list[bytes]:
        return [message for message in self.messages if isinstance(message, bytes)]

    @property
    def maps(self) -> list[dict[str, Any]]:
        """The frames of a `fmt=msgpack` stream."""
        return [msgpack.unpackb(frame) for frame in self.frames]

    @property
    def texts(self) -> list[dict[str, Any]]:
        return [message for message in self.messages if isinstance(message, dict)]

    def of(self, kind: str) -> list[dict[str, Any]]:
        """The events of one type."""
        return [text for text in self.texts if text.get("type") == kind]

    @property
    def last(self) -> Any:
        return self.messages[-1]


class RawViewer:
    """A socket past `ready`."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket

    async def say(self, **values: Any) -> None:
        await self.say_raw(msgpack.packb(values))

    async def say_raw(self, data: bytes | str) -> None:
        async with asyncio.timeout(PATIENCE):
            await self.socket.send(data)

    async def next(self) -> Any:
        """The next message: bytes, what a text says, or `Closed`."""
        try:
            async with asyncio.timeout(PATIENCE):
                data = await self.socket.recv()
        except websockets.ConnectionClosed as error:
            received = error.rcvd
            return Closed(received.code, received.reason) if received else Closed(1006, "")
        return json.loads(data) if isinstance(data, str) else data

    async def until(self, wanted: Callable[[Any], bool]) -> Received:
        """Everything up to the first message that is wanted, which comes last."""
        messages = [await self.next()]
        while not wanted(messages[-1]):
            assert not isinstance(messages[-1], Closed), f"{messages[-1]} after {messages[-3:-1]}"
            messages.append(await self.next())
        return Received(messages)

    async def event(self, kind: str) -> Received:
        return await self.until(lambda text: isinstance(text, dict) and text.get("type") == kind)

    async def frame(self, count: int = 1) -> Received:
        """Everything up to the `count`th frame from here."""
        seen = 0

        def wanted(message: Any) -> bool:
            nonlocal seen
            seen += isinstance(message, bytes)
            return seen == count

        return await self.until(wanted)

    async def stream(self) -> Received:
        """Everything up to and including `completed`."""
        return await self.until(
            lambda text: isinstance(text, dict) and text.get("status") == "completed"
        )

    async def end(self) -> Received:
        return await self.until(lambda message: isinstance(message, Closed))


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[RawViewer]:
    """A viewer that has read exactly the ready message."""
    async with opened(url, **options) as viewer:
        async with asyncio.timeout(PATIENCE):
            assert await viewer.socket.recv() == READY
        yield viewer


@asynccontextmanager
async def opened(url: str, **options: Any) -> AsyncIterator[RawViewer]:
    """A viewer that has read nothing yet."""
    plain = {"compression": None, "max_size": None, "proxy": None}
    options = plain | {"open_timeout": PATIENCE, "close_timeout": 2} | options
    async with websockets.connect(url, **options) as socket:
        yield RawViewer(socket)


async def streamed(url: str, **params: Any) -> list[bytes]:
    """The frames of one whole stream on a socket of its own."""
    async with connected(url) as viewer:
        await viewer.say(**(SMALL | params))
        return (await viewer.stream()).frames


def pixels(jpeg: bytes) -> NDArray[np.float64]:
    """[H, W, 3]"""
    return np.asarray(Image.open(BytesIO(jpeg)).convert("RGB"), np.float64)


def apart(one: bytes, other: bytes) -> float:
    """Mean absolute difference of two frames, in grey levels."""
    return float(np.abs(pixels(one) - pixels(other)).mean())


def colour(
    rgb: tuple[int, int, int], size: tuple[int, int] = (128, 64), fmt: str = "JPEG"
) -> bytes:
    """An encoded picture of one colour."""
    data = BytesIO()
    Image.new("RGB", size, rgb).save(data, fmt)
    return data.getvalue()
