"""Runs savers beside the event loop: frames in, files out, without holding up the socket.

Owns the queue between loop and files. It is bounded: `write` waits while it is full, and with it
the session, and through TCP the worker.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from types import TracebackType
from typing import Self

from framewire.client.errors import SaveError, StateError
from framewire.client.frames import Frame

from .base import Saver

logger = logging.getLogger(__name__)


class Recorder:
    """Writes each frame with every saver, in order.

    A saver that fails is finished at once and left out from then on; the others go on. Leaving
    the `async with` finishes all files, then raises the first failure, unless something else is
    on its way out already.

    Args:
        savers: may be empty.
        queue_frames: frames that may wait to be written.
    """

    def __init__(self, savers: Sequence[Saver], *, queue_frames: int = 48) -> None:
        self.failures: list[SaveError] = []
        self.finished: list[Saver] = []
        self._failed: list[Saver] = []
        self._unopened = list(savers)
        self._open: list[Saver] = []
        self._waiting: deque[tuple[Frame, str | None]] = deque()
        self._limit = queue_frames
        self._room = asyncio.Event()
        self._is_closed = False
        self._writing: asyncio.Task[None] | None = None
        # One thread: savers are not to be called from two at a time.
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="framewire-save")

    async def write(self, frame: Frame, prompt: str | None = None) -> None:
        """Queue a frame.

        Raises:
            SaveError: every saver has failed, so that going on is for nothing.
            StateError: it was closed.
        """
        if self._is_closed:
            raise StateError("the recorder is closed")
        if self.failures and not self._open and not self._unopened:
            raise self.failures[0]
        while len(self._waiting) >= self._limit:
            self._room.clear()
            await self._room.wait()
        self._waiting.append((frame, prompt))
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_out())

    async def close(self) -> None:
        """Write what waits and finish all files; may be called twice. Failures: `failures`."""
        if self._is_closed:
            return
        self._is_closed = True
        try:
            if self._writing is not None:
                await self._writing
            await asyncio.get_running_loop().run_in_executor(self._thread, self._finish)
        finally:
            self._thread.shutdown(wait=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()
        if error is None and self.failures:
            raise self.failures[0]

    async def _write_out(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = list(self._waiting)
            self._waiting.clear()
            self._room.set()
            await loop.run_in_executor(self._thread, self._write_batch, batch)

    def _write_batch(self, batch: list[tuple[Frame, str | None]]) -> None:
        for saver in self._unopened:
            if self._tried(saver, saver.open):
                self._open.append(saver)
        self._unopened = []
        for frame, prompt in batch:
            for saver in list(self._open):
                if not self._tried(saver, partial(saver.write, frame, prompt)):
                    self._open.remove(saver)
                    self._tried(saver, saver.close)

    def _finish(self) -> None:
        for saver in self._open:
            if self._tried(saver, saver.close):
                self.finished.append(saver)
        self._open = []

    def _tried(self, saver: Saver, step: Callable[[], None]) -> bool:
        """Whether a step worked; if not, the first failure of each saver is kept."""
        try:
            step()
        except SaveError as error:
            self._note(saver, error)
        except Exception as error:
            logger.exception("saving %s failed", saver.path)
            self._note(saver, SaveError(f"{saver.path}: {type(error).__name__}: {error}"))
        else:
            return True
        return False

    def _note(self, saver: Saver, error: SaveError) -> None:
        if saver not in self._failed:
            self._failed.append(saver)
            self.failures.append(error)
