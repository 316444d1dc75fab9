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
from typing import Protocol, Self

from framewire.client.errors import SaveError, StateError
from framewire.client.frames import Frame

from .base import Saved, Saver
from .distinct import refuse_shared_files

logger = logging.getLogger(__name__)

_MOST_BYTES = 32_000_000


class LiveOutput(Protocol):
    """What shows frames as they come, and waits for nobody.

    Attributes:
        failure: why it has ended for good; most never do.
    """

    @property
    def failure(self) -> SaveError | None: ...

    def show(self, frame: Frame) -> None:
        """Take a frame; never blocks."""
        ...

    def close(self, *, at_once: bool = False) -> None:
        """Show what waits, unless it is to end at once. Blocks, for some seconds at most."""
        ...


class Recorder:
    """Writes each frame with every saver, in order, and shows it at every live output at once.

    A saver that fails is finished at once and left out from then on; the others go on. Leaving
    the `async with` finishes all files, then raises the first failure, unless something else is
    on its way out already.

    Args:
        savers: may be empty.
        live: outputs that show what comes beside the files, and are never waited for before the end.
        queue_frames: frames that may wait to be written, of 32 MB in all at most.
        on_loss: called when closing is broken off, before the files are finished.

    Attributes:
        failures: the first one of each saver that failed, and of live outputs that ended for good.
        finished: the savers that closed without a failure.
        lost: frames that had arrived and were not written, since closing was broken off.

    Raises:
        SaveError: two of the savers would write the same file.
    """

    def __init__(
        self,
        savers: Sequence[Saver],
        *,
        live: Sequence[LiveOutput] = (),
        queue_frames: int = 48,
        on_loss: Callable[[], None] = lambda: None,
    ) -> None:
        refuse_shared_files([(str(saver.path), saver) for saver in savers])
        self.lost = 0
        self._savers = list(savers)
        self._live = list(live)
        self._is_broken_off = False
        self._is_finishing = False
        self._on_loss = on_loss
        self._in_hand = 0  # of the batch that the thread has
        self.failures: list[SaveError] = []
        self.finished: list[Saver] = []
        self._failed: list[Saver] = []
        self._unopened = list(savers)
        self._open: list[Saver] = []
        self._waiting: deque[tuple[Frame, str | None]] = deque()
        self._waiting_bytes = 0
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
        for output in self._live:
            output.show(frame)
        self._note_ended()
        if self.failures and not self._open and not self._unopened and not self._are_shown():
            raise self.failures[0]
        try:
            while len(self._waiting) >= self._limit or self._waiting_bytes >= _MOST_BYTES:
                self._room.clear()
                await self._room.wait()
        finally:  # cancelled, too: it has arrived
            self._take(frame, prompt)

    @property
    def saved(self) -> list[Saved]:
        """What lies there of this run; known once it is closed."""
        return [saver.saved for saver in self._savers if saver.saved is not None]

    @property
    def waiting(self) -> int:
        """Frames that arrived and are not written yet."""
        return len(self._waiting) + self._in_hand

    async def close(self) -> None:
        """Write what waits and finish all files; may be called twice. Failures: `failures`.

        Cancelled meanwhile, it still does so; cancelled again, it leaves out what waits (`lost`)
        and finishes the files at once.
        """
        await self._close(patience=1)

    async def _close(self, patience: int) -> None:
        """`patience`: cancellations that are not heeded before the end."""
        if self._is_closed:
            return
        self._is_closed = True
        was_cancelled = False
        finishing = asyncio.ensure_future(self._finish_off_loop())
        try:
            while not finishing.done():
                try:
                    await asyncio.shield(finishing)
                except asyncio.CancelledError:
                    if not patience or finishing.done():
                        self._break_off()
                        raise
                    patience, was_cancelled = patience - 1, True
        finally:
            self._thread.shutdown(wait=False)
        if was_cancelled:
            raise asyncio.CancelledError

    async def _finish_off_loop(self) -> None:
        ending = [asyncio.to_thread(output.close) for output in self._live]
        await asyncio.gather(self._finish_files(), *ending)
        self._note_ended()

    async def _finish_files(self) -> None:
        if self._writing is not None:
            await self._writing
        self._is_finishing = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._finish)

    def _close_at_once(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._break_off()
            self._thread.shutdown(wait=False)

    def _break_off(self) -> None:
        """Finish the files without another turn of the loop, which may be gone by then."""
        self._is_broken_off = self._is_finishing = True
        self._on_loss()
        for output in self._live:
            output.close(at_once=True)
        lost = len(self._waiting)
        self._waiting.clear()
        self._thread.submit(self._finish).result()
        self.lost += lost + self._in_hand

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        task = asyncio.current_task()
        cancelled = isinstance(error, asyncio.CancelledError)
        # The second Ctrl-C may have come while what was opened inside this was being closed.
        twice = cancelled and task is not None and task.cancelling() > 1
        if twice or isinstance(error, KeyboardInterrupt):
            self._close_at_once()
        await self._close(patience=0 if cancelled else 1)
        if error is None and self.failures:
            raise self.failures[0]

    def _note_ended(self) -> None:
        """Of live outputs that have failed for good."""
        for output in self._live:
            if output.failure is not None and output.failure not in self.failures:
                self.failures.append(output.failure)

    def _are_shown(self) -> bool:
        """Whether a live output goes on."""
        return any(output.failure is None for output in self._live)

    def _take(self, frame: Frame, prompt: str | None) -> None:
        if self._is_finishing:  # it waited for room until it was too late
            self.lost += 1
            return
        self._waiting.append((frame, prompt))
        self._waiting_bytes += len(frame.jpeg)
        if self._writing is None or self._writing.done():
            self._writing = asyncio.create_task(self._write_out())

    async def _write_out(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            batch = list(self._waiting)
            self._waiting.clear()
            self._waiting_bytes = 0
            self._room.set()
            await loop.run_in_executor(self._thread, self._write_batch, batch)

    def _write_batch(self, batch: list[tuple[Frame, str | None]]) -> None:
        for saver in self._unopened:
            if self._tried(saver, saver.open):
                self._open.append(saver)
        self._unopened = []
        self._in_hand = len(batch)
        for frame, prompt in batch:
            if self._is_broken_off:
                break
            for saver in list(self._open):
                if not self._tried(saver, partial(saver.write, frame, prompt)):
                    self._open.remove(saver)
                    self._tried(saver, saver.close)
            self._in_hand -= 1

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
