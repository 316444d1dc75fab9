"""What all sessions of one worker share: settings, backend, lane, places, threads, counts.

Holds them and says whether the worker is ready or draining; does nothing on its own.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from importlib.metadata import version
from typing import Any, TypeVar

from framewire.worker.backends.base import (
    Backend,
    BackendSession,
    Blend,
    EncodesPrompts,
    KnowsItsMakeUp,
    KnowsItsRoom,
    KnowsItsSpeed,
    Settings,
)
from framewire.worker.config import Config

from .admission import Admission
from .fair_threads import FairThreads
from .input_room import InputRoom
from .lane import Lane, LaneStuck
from .mending import Mending
from .metrics import Metrics
from .to_the_end import to_the_end

logger = logging.getLogger(__name__)
T = TypeVar("T")

DEFAULT_PLACES = 4
"""Sessions at once where no memory limits them."""
_NICE = 5
"""By which threads that decode yield to those that encode: halves what a flood of pictures adds."""


class Draining(Exception):
    """The worker shuts down; the blocks under way were finished and sent."""


class Worker:
    """Made inside the event loop that serves the sessions."""

    def __init__(self, config: Config, backend: Backend) -> None:
        self.config = config
        self.backend = backend
        self.metrics = Metrics()
        self._loop = asyncio.get_running_loop()
        self.lane = Lane(config.block_timeout)
        self.admission = Admission(config.max_sessions or 1, config.queue, self.metrics)
        self.input_room = InputRoom(
            config.input_megabytes * 1_000_000, lambda: self.admission.limit
        )
        self.mending = Mending(backend, self.lane, exits=config.model.on_rank_loss == "exit")
        self.draining = asyncio.Event()
        self._drained_by = 0.0
        self.connections: set[asyncio.Task[None]] = set()
        self._encodings = 0
        # Threads of their own: whatever others send to be decoded delays no frame.
        self._encoders = ThreadPoolExecutor(
            config.codec_threads, thread_name_prefix="framewire-encode"
        )
        self._others = FairThreads(config.codec_threads, "framewire-decode", nice=_NICE)
        self.large_pictures = asyncio.Semaphore(config.codec_threads)
        self._libraries = {name: version(name) for name in ("pillow", "numpy")}  # read from files

    async def load(self) -> None:
        """Load the backend, and count how many sessions there is room for."""
        await self.lane.run(self.backend.load, limited=False)
        if self.config.max_sessions:
            return
        places = DEFAULT_PLACES
        if isinstance(self.backend, KnowsItsRoom):
            places = self.backend.places()
        self.admission.limit = places
        logger.info("max_sessions auto: %d", places)

    def made_with(self) -> dict[str, str | int]:
        """What the bytes of its frames depend on, beside the params; known once it is loaded."""
        backend = self.backend
        return {
            "backend": backend.name,
            **(backend.made_with() if isinstance(backend, KnowsItsMakeUp) else {}),
            "jpeg_quality": self.config.jpeg_quality,
            **self._libraries,
        }

    @property
    def name(self) -> str:
        """What this worker is called among others."""
        return self.config.name or socket.gethostname()

    @property
    def ready(self) -> bool:
        broken = self.lane.stuck or self.mending.under_way or self.mending.failed
        return not self.draining.is_set() and not broken

    def status(self) -> dict[str, object]:
        """What `GET /health` answers."""
        return {
            "ready": self.ready,
            "draining": self.draining.is_set(),
            "sessions": self.admission.taken,
            "waiting": self.admission.waiting,
            "connections": len(self.connections),
            "max_sessions": self.admission.limit,
            "backend": self.backend.name,
            **self._speed(),
        }

    def _speed(self) -> dict[str, object]:
        """By names alone: reasons may tell of the machine."""
        if not isinstance(self.backend, KnowsItsSpeed):
            return {}
        speed = self.backend.speed()
        names = {part: list(speed[part]) for part in ("parts", "left_out")}
        return {"speed": {"asked": speed["asked"], **names}}

    async def encode(self, call: Callable[[], T]) -> T:
        """Run a blocking call that makes a live stream's frames, on the encoding threads."""
        self._encodings += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._encoders, call)
        finally:
            self._encodings -= 1

    def encode_share(self, most: int) -> int:
        """How many parts to make of work for those threads: `most`, or as many as idle."""
        return max(1, min(most, self.config.codec_threads - self._encodings))

    async def in_turn(self, caller: Hashable, call: Callable[[], T]) -> T:
        """Run any other blocking call (decoding what came in, say), in turn with other callers."""
        return await asyncio.wrap_future(self._others.submit(caller, call))

    async def encoded(self, caller: Hashable, prompt: str, blend: Blend | None) -> Any:
        """What the backend makes of a prompt beside the lane; None where it makes nothing of it."""
        backend = self.backend
        if not isinstance(backend, EncodesPrompts):
            return None
        await self.mending.over()
        return await self.in_turn(caller, lambda: backend.encode(prompt, blend))

    async def unless_draining(self, work: Coroutine[Any, Any, T]) -> T:
        """What comes of `work`, which is cancelled where the worker shuts down meanwhile.

        Raises:
            Draining: it does.
        """
        task = asyncio.ensure_future(work)
        drained = asyncio.create_task(self.draining.wait())
        try:
            await asyncio.wait((task, drained), return_when=asyncio.FIRST_COMPLETED)
            if not task.done():
                raise Draining
            return task.result()
        finally:
            task.cancel()
            drained.cancel()
            await asyncio.gather(task, drained, return_exceptions=True)

    @asynccontextmanager
    async def connected(self) -> AsyncIterator[None]:
        """Count the current task as one that a drain waits for."""
        task = asyncio.current_task()
        assert task is not None
        self.connections.add(task)
        try:
            yield
        finally:
            self.connections.discard(task)

    @asynccontextmanager
    async def opened(self, settings: Settings) -> AsyncIterator[BackendSession]:
        """A lease on the backend: a session of it, closed whatever happens, cancelling included.

        Raises:
            SettingsError, CapacityError: the backend cannot open this stream.
            Draining: the worker shuts down while its backend is mended.
        """
        if settings.encoded is None:
            encoded = await self.encoded(object(), settings.prompt, settings.blend)
            settings = replace(settings, encoded=encoded)
        await self.unless_draining(self.mending.over())
        opening = asyncio.ensure_future(self.lane.run(lambda: self.backend.open(settings)))
        try:
            session = await to_the_end(opening)
        except asyncio.CancelledError:
            if not opening.cancelled() and opening.exception() is None:
                await self._close(opening.result())
            raise
        with self.mending.session():
            try:
                yield session
            finally:
                await self._close(session)

    async def _close(self, session: BackendSession) -> None:
        """Close a session on the lane; who is cancelled meanwhile still waits for it."""
        with suppress(LaneStuck):
            await to_the_end(self.lane.run(session.close))

    def begin_drain(self) -> None:
        """Take no more sessions; the running ones end after their block. For any thread."""
        self._loop.call_soon_threadsafe(self._refuse_all)

    def _refuse_all(self) -> None:
        if not self.draining.is_set():
            self._drained_by = self._loop.time() + self.config.grace
        self.draining.set()
        self.admission.refuse("the worker is shutting down")

    async def drain(self) -> None:
        """Take no more sessions and wait until the running ones have ended by themselves."""
        self._refuse_all()
        left = self._drained_by - self._loop.time()  # the grace is one, however many ask
        if self.connections and left > 0:
            await asyncio.wait(self.connections, timeout=left)

    def close(self) -> None:
        """Free the backend; the sessions have ended."""
        self._encoders.shutdown(wait=False, cancel_futures=True)
        self._others.close()
        if not self.lane.stuck:
            self.backend.close()
        self.lane.close()
