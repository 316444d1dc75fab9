"""One stream: its blocks made in turn on the lane, each from the values then in force.

Knows the backend session, the input and the pending changes; knows no socket. Ends completed,
by a reset, or with an exception that the session turns into words.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Hashable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import Any, Final, TypeVar, cast

from framewire.protocol import Completed, Started, Steered, Warned
from framewire.protocol.prompts.blends import Blend
from framewire.protocol.steering import Due, Steering
from framewire.worker.backends.base import (
    BackendSession,
    Block,
    Change,
    Settings,
    SettingsError,
    TakesPromptsMidBlock,
)
from framewire.worker.runtime.worker import Draining, Worker

from .camera import CameraWait
from .decoded_input import DecodedInput
from .finisher import Finisher, Made
from .input_queue import Arrived, InputQueue
from .outbox import Outbox
from .prompts.ahead import Prompts
from .prompts.mid_block import MidBlock
from .video_input import VideoInput
from .viewer_files import StreamFiles

T = TypeVar("T")


class Outcome(Enum):
    COMPLETED = "completed"
    RESET = "reset"


class _Interrupted(Enum):
    YES = "interrupted"


_NO_FILES: Final = StreamFiles()
_INTERRUPTED: Final = _Interrupted.YES
_NOT_TOLD = {"start_frame", "input_video", "record", "steers", "events", "fmt", "fps"}
"""Of the params, where a stream begins: pictures, and what changes no frame."""


class Stream:
    """One run from settings to the last frame.

    Args:
        viewer: whose turn it is where pictures are decoded.
        prompts: encoded beforehand.
        camera: how long its second block waits for pictures.
        files: what it reads and writes of the viewer's files.

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
        prompts: Prompts,
        camera: CameraWait,
        outbox: Outbox,
        files: StreamFiles = _NO_FILES,
    ) -> None:
        self._worker = worker
        self._viewer = viewer
        self._session_id = session_id
        self._settings = settings
        self._steering = steering
        self._input = input_queue
        self._prompts = prompts
        self._camera = camera
        self._outbox = outbox
        self._live = settings.live
        self._input_used_up = False
        self._change: Change | None = None
        self._shows: Blend | None = None  # that the change waits for
        self._interrupt = asyncio.Event()
        self._finisher: Finisher | None = None
        self._files = files
        self._video: VideoInput | None = None
        self._decoded = DecodedInput(worker, viewer, settings, outbox)
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
            SettingsError, CapacityError: the backend cannot open this stream, or its video is none
                that can be used.
            InputGap: the input stopped.
            Exception: whatever the backend raises.
        """
        encoding = self._prompts.encoded(self._steering.params.shown)
        encoded = await self._worker.unless_draining(encoding)
        settings = replace(self._settings, encoded=encoded)
        async with self._video_opened(), self._worker.opened(settings) as opened:
            self._outbox.say(self._started())
            finisher = Finisher(self._worker, self._settings, self._outbox, self._files.recording)
            self._finisher = finisher
            try:
                return await self._make_blocks(opened, finisher)
            except Exception:
                await finisher.stop(discard=False)
                raise
            finally:
                await finisher.stop(discard=True)

    @asynccontextmanager
    async def _video_opened(self) -> AsyncIterator[None]:
        if self._files.video is None:
            yield
            return
        opening = self._files.video(self._settings.width, self._settings.height)
        async with AsyncExitStack() as stack:
            try:
                source = await self._worker.unless_draining(stack.enter_async_context(opening))
            except ValueError as error:
                raise SettingsError("input_video", str(error)) from error
            video = self._video = VideoInput(source)
            try:
                yield
            finally:
                await video.close()
                self._worker.metrics.pictures_dropped.inc(source.left_out)

    def _started(self) -> Started:
        settings, params = self._settings, self._steering.params
        defaults = self._worker.backend.defaults
        return Started(
            session_id=self._session_id,
            seed=settings.seed,
            width=settings.width,
            height=settings.height,
            num_blocks=self._num_blocks,
            backend=self._worker.backend.name,
            first_block_frames=defaults.first_block_frames,
            block_frames=defaults.block_frames,
            fps=defaults.fps,
            params=params.model_dump(mode="json", exclude_none=True, exclude=_NOT_TOLD)
            | {"seed": settings.seed, "width": settings.width, "height": settings.height},
            made_with=self._worker.made_with(),
        )

    @property
    def _num_blocks(self) -> int:
        if self._input_used_up:
            return self.block
        if self._is_ended:
            return self.block
        return self._steering.num_blocks or self._worker.backend.defaults.num_blocks

    @property
    def _is_ended(self) -> bool:
        """Whether no block is to be begun any more, by what the viewer said."""
        takes_more = self._steering.params.webcam_mode and self._video is None
        return self._steering.ended and not takes_more

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
                self._say_completed()
                return Outcome.COMPLETED
            if self._worker.draining.is_set():
                if await self._until(self._outbox.empty(), finisher) is not _INTERRUPTED:
                    raise Draining
                continue
            if await self._until(self._outbox.room(), finisher) is _INTERRUPTED:
                continue
            is_live = bool(self._steering.params.webcam_mode)
            if self.block and not is_live and (left := self._camera.left()) > 0:
                await self._until(asyncio.sleep(left), finisher)
                continue
            if is_live and not self._live:
                self._live = True
                await self._worker.lane.run(lambda: opened.steer(Change(live=True)))
            wanted = opened.pictures_wanted()
            if len(self._decoded) < wanted and not await self._has_input(wanted, finisher):
                continue
            await self._make_block(opened, finisher, wanted)

    async def _has_input(self, wanted: int, finisher: Finisher) -> bool:
        """Get the pictures of the next block; whether they are there, after a look or a wait."""
        missing = wanted - len(self._decoded)
        if self._video is not None:
            pictures = await self._until(self._video.take(missing), finisher)
            if pictures is not _INTERRUPTED:
                self._decoded.put(pictures)
                self._input_used_up = not pictures
        else:
            taken = await self._until(self._input.take(missing, block=wanted), finisher)
            if taken is not _INTERRUPTED:
                await self._take(taken, wanted)
        return len(self._decoded) >= wanted

    def _say_completed(self) -> None:
        unused = self._input.close()  # who waits to put a picture would wait for ever
        if unused:
            self._worker.metrics.pictures_dropped.inc(unused)
            self._outbox.say(Warned(reason=f"image: pictures that no block is left for: {unused}"))
        self._outbox.say(Completed(session_id=self._session_id))

    async def _take(self, taken: list[Arrived], wanted: int) -> None:
        """Decode input for the next block; after the end of the input, make do with what is left.

        What cannot be read is made up for by what comes next, of a clip; live, where nobody waits,
        by the picture before.
        """
        if not taken:
            self._input_used_up = len(self._decoded) == 0
            self._decoded.pad(0 if self._input_used_up else wanted)
            return
        await self._decoded.add(taken)
        self._input.repeat(self._decoded.newest)
        if self._steering.params.input != "all":
            self._decoded.pad(wanted)

    async def _make_block(self, opened: BackendSession, finisher: Finisher, wanted: int) -> None:
        self._apply(self._steering.due(self.block))
        if self._steering.ended:
            self._input.end()
        if self._steering.reset or self._num_blocks <= self.block:
            return
        if self._change is not None and self._shows is not None and self._prompts.encodes:
            encoded = await self._encoded(self._shows, finisher)
            if encoded is _INTERRUPTED:
                return
            self._change, self._shows = replace(self._change, encoded=encoded), None
        change, self._change = self._change, None
        origins, pictures = self._decoded.pop(wanted)
        self._outbox.expect_block()

        mid_block = MidBlock(self._steering.prompt_version)
        make = opened.next_block
        if self._settings.mid_block_prompts:
            make = partial(cast(TakesPromptsMidBlock, opened).next_block, newest=mid_block.take)

        def call() -> tuple[Callable[[], Block], float]:
            began = time.perf_counter()
            for waiting in (change, mid_block.take()):
                if waiting is not None:
                    opened.steer(waiting)
            finish = make(pictures)
            return finish, 1000 * (time.perf_counter() - began)

        async with self._filling(mid_block):
            finish, lane_ms = await self._worker.lane.run(call)
        finisher.add(Made(finish, self.block, mid_block.version, origins, lane_ms))
        self.block += 1

    async def _encoded(self, shows: Blend, finisher: Finisher) -> Any:
        """What the block under way waits for, or _INTERRUPTED where it is not to be made.

        Whatever else is said meanwhile is for later: who steers faster than prompts are encoded
        would else wait for ever.
        """
        said_more = False
        while True:
            encoded = await self._until(self._prompts.encoded(shows), finisher)
            if encoded is not _INTERRUPTED:
                break
            if self._steering.reset or self._is_ended or self._worker.draining.is_set():
                return _INTERRUPTED
            self._interrupt.clear()
            said_more = True
        if said_more:
            self._interrupt.set()
        return encoded

    @asynccontextmanager
    async def _filling(self, mid_block: MidBlock) -> AsyncIterator[None]:
        """Meanwhile hand over the prompts that are said, if the stream is to take them mid-block."""
        if not self._settings.mid_block_prompts:
            yield
            return
        filling = asyncio.create_task(self._fill(mid_block))
        try:
            yield
        finally:
            filling.cancel()
            await asyncio.gather(filling, return_exceptions=True)  # the next block raises it again
        for steered in mid_block.told(self.block):
            self._outbox.say(steered)
        if mid_block.said and mid_block.version == self._steering.prompt_version:
            self._change = self._shows = None

    async def _fill(self, mid_block: MidBlock) -> None:
        while True:
            await self._interrupt.wait()
            self._interrupt.clear()
            if not self._steering.awaits_prompt_only:
                continue
            self._take_in(due := self._steering.due(self.block))
            mid_block.said.append(self._steered(due))
            assert self._change is not None and self._shows is not None
            if self._prompts.encodes:
                encoded = await self._prompts.encoded(self._shows)
                self._change = replace(self._change, encoded=encoded)
            mid_block.put(self._change, self._steering.prompt_version)

    def _apply(self, due: Due) -> None:
        """Report what takes effect, and keep it for the backend until a block is made."""
        if due.applied:
            self._take_in(due)
            self._outbox.say(self._steered(due))

    def _take_in(self, due: Due) -> None:
        waiting = self._change or Change()
        if due.prompt is not None:
            params, defaults = self._steering.params, self._worker.backend.defaults
            self._shows = params.shown
            usual = params.transition.method if params.transition else "linear"
            waiting = replace(
                waiting,
                prompt=due.prompt,
                blend=due.blend,
                interp_steps=due.interp_steps or params.interp_steps or defaults.interp_steps,
                transition=due.transition or usual,
            )
        self._change = replace(
            waiting,
            strength=waiting.strength if due.strength is None else due.strength,
            loras=(
                waiting.loras
                if due.loras is None or not self._worker.backend.defaults.loras
                else due.loras
            ),
            noise_controller=(
                waiting.noise_controller if due.noise_controller is None else due.noise_controller
            ),
        )

    def _steered(self, due: Due) -> Steered:
        return Steered(
            block=self.block,
            prompt_version=self._steering.prompt_version,
            applied=due.applied,
            values=self._values(due),
        )

    def _values(self, due: Due) -> dict[str, Any]:
        """What takes effect, as a map that would say it."""
        values = self._steering.params.model_dump(mode="json", include=set(due.applied))
        change = self._change
        if due.prompt is not None and change is not None:
            values |= {
                "interp_steps": change.interp_steps,
                "transition": {"method": change.transition},
            }
        return values

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
