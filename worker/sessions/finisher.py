"""From made blocks to frames in the outbox: finishing, JPEG encoding and telling, in order.

Runs beside the lane, so that the next block is made while the last one is encoded. Knows the
encoding threads and the outbox; knows neither the backend session nor the socket.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import numpy as np

from framewire.protocol import BlockDone, Frame, Warned
from framewire.worker.backends.base import Block, Frames, InParts, Settings
from framewire.worker.runtime.pictures import encode_jpegs
from framewire.worker.runtime.worker import Worker

from .input_queue import Origin
from .outbox import Outbox
from .viewer_files import Recording

_INPUTS_KEPT = 16
"""Blocks whose pictures are remembered: more than any backend's delay."""


@dataclass(frozen=True, slots=True)
class Made:
    """A block that the lane has made, and what is known of it; `at` by `time.perf_counter`."""

    finish: Callable[[], Block]
    block: int
    prompt_version: int
    pictures: list[Origin]
    lane_ms: float
    at: float = field(default_factory=time.perf_counter)


@dataclass(frozen=True, slots=True)
class _Part:
    """Frames of a block as JPEGs, and the milliseconds that finishing and encoding them took."""

    block: Block
    jpegs: list[bytes]
    finish_ms: float
    jpeg_ms: float


@dataclass
class _Delivery:
    """A block on its way to the viewer, as far as its parts have come.

    Attributes:
        index: of its first frame in the stream.
        frames: delivered.
    """

    made: Made
    index: int
    frames: int = 0
    finish_ms: float = 0.0
    jpeg_ms: float = 0.0

    def took(self, part: _Part) -> None:
        self.finish_ms += part.finish_ms
        self.jpeg_ms += part.jpeg_ms

    @property
    def ready_at(self) -> float:
        """When the pixels so far could have been there, by `time.perf_counter`.

        That is as the block left the lane, and the time that finishing took. What it waited for a
        thread counts to its delivery.
        """
        return self.made.at + self.finish_ms / 1000


class Finisher:
    """Finishes the blocks of one stream, one after the other.

    Args:
        recording: takes its frames as well, where the viewer asked for that.

    Attributes:
        task: ends with the exception where finishing failed.
    """

    def __init__(
        self,
        worker: Worker,
        settings: Settings,
        outbox: Outbox,
        recording: Recording | None = None,
    ) -> None:
        self._worker = worker
        self._recording = recording
        self._settings = settings
        self._outbox = outbox
        # The outbox lets no more than three blocks be under way.
        self._made: asyncio.Queue[Made | None] = asyncio.Queue(maxsize=8)
        self._discard = False
        self._frames = 0
        self._inputs: deque[list[Origin]] = deque(maxlen=_INPUTS_KEPT)
        self.task = asyncio.create_task(self._run())

    def add(self, made: Made) -> None:
        """Finish this one next."""
        self._made.put_nowait(made)

    def discard(self) -> None:
        """Drop what was added and is not delivered yet, and what will be added."""
        self._discard = True

    async def stop(self, *, discard: bool) -> None:
        """End once what was added is finished and delivered, or dropped with `discard`.

        When this returns, no thread works on the stream's blocks any more.
        """
        self._discard |= discard
        if not self.task.done():
            self._made.put_nowait(None)
            with suppress(Exception):
                await asyncio.shield(self.task)
        self._outbox.expect_nothing()

    async def _run(self) -> None:
        while (made := await self._made.get()) is not None:
            self._inputs.append(made.pictures)
            delivery, left = _Delivery(made, self._frames), 1
            while left and not self._discard:
                part = await self._part(made.finish)
                left = part.block.left
                delivery.took(part)
                if self._recording is not None and not self._discard:
                    # Before the viewer can hear that the stream is complete, and ask for all of it.
                    reason = await self._recording.add(part.jpegs)
                    if reason is not None:
                        self._outbox.say(Warned(reason=reason))
                if not self._discard:
                    self._deliver(delivery, part)

    async def _part(self, finish: Callable[[], Block]) -> _Part:
        """The next frames of a block, encoded on several threads where they idle.

        Where they don't, one does all of it: no more blocks are unencoded than there are threads.
        """
        if self._worker.encode_share(2) == 1:
            return await self._worker.encode(lambda: self._part_alone(finish))
        block, finish_ms = await self._worker.encode(lambda: self._block(finish))
        began = time.perf_counter()
        jpegs = await self._encode(block.frames)
        return _Part(block, jpegs, finish_ms, _ms_since(began))

    def _part_alone(self, finish: Callable[[], Block]) -> _Part:
        block, finish_ms = self._block(finish)
        began = time.perf_counter()
        jpegs = encode_jpegs(block.frames, self._worker.config.jpeg_quality)
        return _Part(block, jpegs, finish_ms, _ms_since(began))

    def _block(self, finish: Callable[[], Block]) -> tuple[Block, float]:
        began = time.perf_counter()
        block = finish.part() if isinstance(finish, InParts) else finish()
        took = _ms_since(began)
        self._check(block.frames)
        return block, took

    def _check(self, frames: Frames) -> None:
        height, width = self._settings.height, self._settings.width
        if frames.dtype != np.uint8 or frames.ndim != 4 or frames.shape[1:] != (height, width, 3):
            raise TypeError(
                f"backend {self._worker.backend.name} made {frames.dtype} {frames.shape}; expected "
                f"uint8 [T, {height}, {width}, 3]"
            )

    async def _encode(self, frames: Frames) -> list[bytes]:
        """Every frame as a JPEG, on all threads that idle."""
        quality = self._worker.config.jpeg_quality
        count = -(-len(frames) // self._worker.encode_share(len(frames)))
        calls = [
            partial(encode_jpegs, frames[first : first + count], quality)
            for first in range(0, len(frames), count or 1)
        ]
        parts = await asyncio.gather(*(self._worker.encode(call) for call in calls))
        return [jpeg for part in parts for jpeg in part]

    def _deliver(self, delivery: _Delivery, part: _Part) -> None:
        made, block = delivery.made, part.block
        total = delivery.frames + len(part.jpegs) + block.left
        pictures = list(self._inputs)[-1 - block.delay] if total else []
        self._outbox.put_block(
            [
                Frame(
                    jpeg,
                    index=self._frames + place,
                    block=made.block,
                    request_id=_source(pictures, delivery.frames + place, total),
                    prompt_version=made.prompt_version,
                )
                for place, jpeg in enumerate(part.jpegs)
            ],
            delivery.ready_at,
            left=block.left,
        )
        delivery.frames += len(part.jpegs)
        self._frames += len(part.jpegs)
        if not block.left:
            self._report(delivery, block, pictures)

    def _report(self, delivery: _Delivery, last: Block, pictures: list[Origin]) -> None:
        """Say that a block is done, and count it."""
        made = delivery.made
        ms = {**last.ms, "lane": made.lane_ms, "jpeg": delivery.jpeg_ms}
        if pictures:
            newest = max(origin.at for origin in pictures)
            ms["input_to_frame"] = 1000 * (asyncio.get_running_loop().time() - newest)
        self._outbox.say(
            BlockDone(
                block=made.block,
                index=delivery.index,
                frames=delivery.frames,
                prompt_version=made.prompt_version,
                ms={stage: round(value, 3) for stage, value in ms.items()},
            )
        )
        self._worker.metrics.block_made(
            self._worker.backend.name, (made.lane_ms + delivery.finish_ms) / 1000
        )
        for stage, value in ms.items():
            self._worker.metrics.observe(stage, value / 1000)


def _ms_since(began: float) -> float:
    return 1000 * (time.perf_counter() - began)


def _source(pictures: list[Origin], place: int, count: int) -> str | None:
    """The request id of the picture that frame `place` of `count` was made from.

    Where there are more pictures than frames the first ones' frames were withheld.
    """
    if not pictures:
        return None
    withheld = max(0, len(pictures) - count)
    return pictures[withheld + place * (len(pictures) - withheld) // count].request_id
