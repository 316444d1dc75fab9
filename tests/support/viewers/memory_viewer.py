"""A viewer at the other end of a session, in memory: no socket, no server, nothing to wait for."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgpack
from PIL import Image
from support.clock import at_rest

from framewire.worker.backends.base import Backend
from framewire.worker.config import Config
from framewire.worker.runtime.worker import Worker
from framewire.worker.sessions.session import Session
from framewire.worker.sessions.viewer_socket import Disconnected

PATIENCE = 60.0
"""Seconds after which a test says that what it waits for does not come."""


class MemoryViewer:
    """Is the session's `ViewerSocket`, and what the test holds of it.

    Attributes:
        reads: while cleared, nothing that the session sends gets through.
        on_send: called with each message before it counts as sent.
        closed: close code and reason, once the session has closed.
        session: the one that is served.
    """

    def __init__(self, worker: Worker, **options: Any) -> None:
        self._to_worker: asyncio.Queue[bytes | str | None] = asyncio.Queue()
        self._from_worker: asyncio.Queue[bytes | str | None] = asyncio.Queue()
        self.reads = asyncio.Event()
        self.reads.set()
        self.on_send: Callable[[bytes | str], Awaitable[None]] | None = None
        self._taken = False
        self.closed: tuple[int, str] | None = None
        self.aborted = False
        self.session = Session(worker, self, **options)
        self.task = asyncio.create_task(self.session.run())

    async def receive(self) -> bytes | str:
        if self._taken:
            self._to_worker.task_done()
        data = await self._to_worker.get()
        self._taken = True
        if data is None:
            raise Disconnected
        return data

    async def send(self, data: bytes | str) -> None:
        await self.reads.wait()
        if self.on_send is not None:
            await self.on_send(data)
        self._from_worker.put_nowait(data)

    async def close(self, code: int, reason: str) -> None:
        self.closed = (int(code), reason)
        self._from_worker.put_nowait(None)

    def abort(self) -> None:
        self.aborted = True
        self._from_worker.put_nowait(None)

    def say(self, **values: Any) -> None:
        """Send a map."""
        self.say_raw(msgpack.packb(values))

    def say_raw(self, data: bytes | str) -> None:
        self._to_worker.put_nowait(data)

    def hang_up(self) -> None:
        self._to_worker.put_nowait(None)

    async def taken_in(self) -> None:
        """Wait until the session has dealt with everything that was said."""
        async with asyncio.timeout(PATIENCE):
            await self._to_worker.join()

    async def seen_to(self) -> None:
        """The same, and the session's tasks have acted on it as far as they can."""
        await self.taken_in()
        await at_rest()

    async def next(self) -> Any:
        """The next message: bytes of a frame, what a text says, or None after the end."""
        data = await self.next_raw()
        return json.loads(data) if isinstance(data, str) else data

    async def next_raw(self) -> bytes | str | None:
        """The next message as it was sent; None after the end."""
        async with asyncio.timeout(PATIENCE):
            return await self._from_worker.get()

    async def until(self, wanted: Callable[[Any], bool]) -> list[Any]:
        """All messages up to the first that is wanted, which comes last."""
        messages = [await self.next()]
        while not wanted(messages[-1]):
            assert messages[-1] is not None, f"the session ended: {messages}"
            messages.append(await self.next())
        return messages

    async def stream(self) -> list[Any]:
        """All messages up to and including `completed`."""
        return await self.until(is_completed)

    async def end(self) -> list[Any]:
        """All messages until the session ends; it has when this returns."""
        messages = await self.until(lambda message: message is None)
        await asyncio.wait_for(self.task, PATIENCE)
        return messages[:-1]

    async def gone(self) -> None:
        """Hang up and wait until the session has cleaned up."""
        self.hang_up()
        await asyncio.wait_for(self.task, PATIENCE)


async def ready(worker: Worker, **options: Any) -> MemoryViewer:
    """A viewer that has read the ready message."""
    viewer = MemoryViewer(worker, **options)
    assert await viewer.next() == {"status": "ready"}
    return viewer


async def frames_up_to(viewer: MemoryViewer, count: int) -> list[Any]:
    """All messages up to the `count`th frame from here."""
    messages: list[Any] = []
    while len(frames_in(messages)) < count:
        messages.append(await viewer.next())
    return messages


def errors(messages: list[Any]) -> list[tuple[Any, str]]:
    """Code and reason of each error message."""
    return [(text["error"], text["reason"]) for text in texts_in(messages) if "error" in text]


def is_completed(message: Any) -> bool:
    return isinstance(message, dict) and message.get("status") == "completed"


def is_event(kind: str) -> Callable[[Any], bool]:
    return lambda message: isinstance(message, dict) and message.get("type") == kind


def frames_in(messages: list[Any]) -> list[bytes]:
    return [message for message in messages if isinstance(message, bytes)]


def texts_in(messages: list[Any]) -> list[dict[str, Any]]:
    return [message for message in messages if isinstance(message, dict)]


def told(messages: list[Any]) -> list[tuple[int, int, list[str]]]:
    """Block, prompt version and keys of each change."""
    return [
        (text["block"], text["prompt_version"], text["applied"])
        for text in texts_in(messages)
        if text.get("type") == "steered"
    ]


def blocks_of(messages: list[Any]) -> list[int]:
    """Per frame, the block that a `ScriptedBackend` painted it in."""
    return [grey(frame) - 10 for frame in frames_in(messages)]


def grey(jpeg: bytes) -> int:
    pixel = Image.open(io.BytesIO(jpeg)).convert("L").getpixel((0, 0))
    assert isinstance(pixel, int)
    return pixel


def picture(red: int = 200, size: tuple[int, int] = (64, 64)) -> bytes:
    """A PNG, so that its colour comes through unchanged."""
    data = io.BytesIO()
    Image.new("RGB", size, (red, 0, 0)).save(data, "PNG")
    return data.getvalue()


@asynccontextmanager
async def running_worker(backend: Backend, **config: Any) -> AsyncIterator[Worker]:
    """A worker as a server would hold it; at the end nobody holds or awaits a place any more, or bytes."""
    worker = Worker(Config(**config), backend)
    try:
        yield worker
    finally:
        async with asyncio.timeout(PATIENCE):
            for task in asyncio.all_tasks() - {asyncio.current_task()}:
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
        worker.close()
    assert (worker.admission.taken, worker.admission.waiting) == (0, 0)
    assert worker.input_room.held == 0
