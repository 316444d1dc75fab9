"""One stream: its blocks made in turn on the lane, each from the values then in force.

Knows the backend session, the input and the pending changes; knows no socket. Ends completed,
by a reset, or with an exception that the session turns into words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Hashable
from enum import Enum
from typing import Any, Final, TypeVar

from framewire.protocol import Completed, Started, Steered
from framewire.protocol.picture_header import LIVE
from framewire.protocol.steering import Due, Steering
from framewire.worker.backends.base import BackendSession, Block, Change, Picture, Settings
from framewire.worker.runtime.pictures import PictureError, decode_picture
from framewire.worker.runtime.worker import Draining, Worker

from .finisher import Finisher, Made
from .input_queue import Arrived, InputQueue
from .outbox import Outbox

T = TypeVar("T")


class Outcome(Enum):
    COMPLETED = "completed"
    RESET = "reset"


class _Interrupted(Enum):
    YES = "interrupted"


_INTERRUPTED: Final = _Interrupted.YES


class Stream:
    """One run from settings to the last frame.

    Args:
        viewer: whose turn it is where pictures are decoded.

    Attributes:
        block: the index of the next block.
    """

    def __init__(
        self,
        worker: Worker,
        viewer: Hashable,
        session_id: str,
        settings: Settings,
        steering: Steering,
        input_queue: InputQueue,
        outbox: Outbox,
    ) -> None:
        self._worker = worker
        self._viewer = viewer
        self._session_id = session_id
        self._settings = settings
        self._steering = steering
        self._input = input_queue
        self._outbox = outbox
        self._live = settings.live
        self._input_used_up = False
        self._change: Change | None = None
        self._interrupt = asyncio.Event()
        self._finisher: Finisher | None = None
        self._last_picture: Picture | None = None
        self.block = 0

    def interrupt(self) -> None:
        """Something changed (a map, a drain): look again before waiting on."""
        if self._steering.reset and self._finisher is not None:
            # The lane may be busy for long: nothing stale is to be shown until it comes back.
            self._finisher.discard()
            self._outbox.drop_frames()
        self._interrupt.set()

    async def run(self) -> Outcome:
        """Make blocks until the stream is complete or is to start over.

        Raises:
            Draining: the worker shuts down.
            SettingsError, CapacityError: the backend cannot open this stream.
            InputGap: the input stopped.
            Exception: whatever the backend raises.
        """
        async with self._worker.opened(self._settings) as opened:
            self._outbox.say(self._started())
            finisher = Finisher(self._worker, self._settings, self._outbox)
            self._finisher = finisher
            try:
                return await self._make_blocks(opened, finisher)
            except Exception:
                await finisher.stop(discard=False)
                raise
            finally:
                await finisher.stop(discard=True)

    def _started(self) -> Started:
        settings = self._settings
        return Started(
            session_id=self._session_id,
            seed=settings.seed,
            width=settings.width,
            height=settings.height,
            num_blocks=self._num_blocks,
            backend=self._worker.backend.name,
        )

    @property
    def _num_blocks(self) -> int:
        if self._input_used_up:
            return self.block
        if self._steering.ended and not self._steering.params.webcam_mode:
            return self.block
        return self._steering.num_blocks or self._worker.backend.defaults.num_blocks

    async def _make_blocks(self, opened: BackendSession, finisher: Finisher) -> Outcome:
        while True:
            self._interrupt.clear()
            if self._steering.reset:
                return Outcome.RESET
            if self._num_blocks <= self.block:
                self._apply(self._steering.due(self.block))
            if self._num_blocks <= self.block:
                await self._until(self._outbox.empty(), finisher)
                if self._interrupt.is_set():  # a map that came with the last frame still counts
                    continue
                self._outbox.say(Completed(session_id=self._session_id))
                self._input.end()  # who waits to put a picture would wait for ever
                return Outcome.COMPLETED
            if self._worker.draining.is_set():
                if await self._until(self._outbox.empty(), finisher) is not _INTERRUPTED:
                    raise Draining
                continue
            if await self._until(self._outbox.room(), finisher) is _INTERRUPTED:
                continue
            if self._steering.params.webcam_mode and not self._live:
                self._live = True
                await self._worker.lane.run(lambda: opened.steer(Change(live=True)))
            wanted = opened.pictures_wanted()
            taken = await self._until(self._input.take(wanted), finisher)
            if taken is _INTERRUPTED:
                continue
            pictures = await self._decoded(taken)
            if len(pictures) == wanted:
                await self._make_block(opened, finisher, taken, pictures)
            elif taken:
                self._input.forget()
            self._input_used_up = wanted > 0 and not taken

    async def _make_block(
        self,
        opened: BackendSession,
        finisher: Finisher,
        taken: list[Arrived],
        pictures: list[Picture],
    ) -> None:
        self._apply(self._steering.due(self.block))
        if self._steering.ended:
            self._input.end()
        if self._steering.reset or self._num_blocks <= self.block:
            return
        change, self._change = self._change, None
        self._outbox.expect_block()

        def call() -> tuple[Callable[[], Block], float]:
            began = time.perf_counter()
            if change is not None:
                opened.steer(change)
            finish = opened.next_block(pictures)
            return finish, 1000 * (time.perf_counter() - began)

        finish, lane_ms = await self._worker.lane.run(call)
        finisher.add(Made(finish, self.block, self._steering.prompt_version, taken, lane_ms))
        self.block += 1

    def _apply(self, due: Due) -> None:
        """Report what takes effect, and keep it for the backend until a block is made."""
        if not due.applied:
            return
        version = self._steering.prompt_version
        self._outbox.say(Steered(block=self.block, prompt_version=version, applied=due.applied))
        waiting = self._change or Change()
        steps = due.interp_steps or self._steering.params.interp_steps
        self._change = Change(
            prompt=due.prompt or waiting.prompt,
            interp_steps=(steps or self._worker.backend.defaults.interp_steps)
            if due.prompt
            else waiting.interp_steps,
            strength=waiting.strength if due.strength is None else due.strength,
            noise_controller=(
                waiting.noise_controller if due.noise_controller is None else due.noise_controller
            ),
        )

    async def _decoded(self, taken: list[Arrived]) -> list[Picture]:
        """The pictures at the session's size; one that cannot be read repeats the one before."""
        each = {id(arrived): arrived for arrived in taken}  # the newest may be there repeatedly
        found = await asyncio.gather(*map(self._decode, each.values()))
        decoded = {
            key: picture for key, picture in zip(each, found, strict=True) if picture is not None
        }
        self._worker.metrics.pictures_dropped.inc(len(each) - len(decoded))
        last = self._last_picture
        if last is None:
            last = next(iter(decoded.values()), None)
        if last is None:
            return []
        pictures = [last := decoded.get(id(arrived), last) for arrived in taken]
        self._last_picture = last
        return pictures

    async def _decode(self, arrived: Arrived) -> Picture | None:
        width, height = self._settings.width, self._settings.height
        try:
            return await self._worker.in_turn(
                self._viewer, lambda: decode_picture(arrived.data, width, height, LIVE)
            )
        except PictureError:
            return None

    async def _until(self, wait: Coroutine[Any, Any, T], finisher: Finisher) -> T | _Interrupted:
        """Wait for `wait`, for an interrupt, or for finishing to fail."""
        waiter = asyncio.ensure_future(wait)
        interrupt = asyncio.ensure_future(self._interrupt.wait())
        try:
            done, _ = await asyncio.wait(
                {waiter, interrupt, finisher.task}, return_when=asyncio.FIRST_COMPLETED
            )
            if waiter in done:
                return waiter.result()
            if finisher.task in done:
                finisher.task.result()
            return _INTERRUPTED
        finally:
            waiter.cancel()
            interrupt.cancel()
