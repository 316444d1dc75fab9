"""How far one stream has come, counted on from connection to connection.

Each connection counts frames, blocks and prompts from its own start; the caller sees one stream.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TypeVar

from framewire.protocol import BlockDone, Frame, Started, Steered
from framewire.protocol.steering import BlockShape

MOST_FRAMES = 1000
"""Of a block. What says that it has more, or none, is not believed."""
_Counted = TypeVar("_Counted", BlockDone, Steered)


@dataclass(slots=True)
class Shape(BlockShape):
    """Frames a block. The hosted model's until the stream shows another one."""

    def learn(self, block: int, frames: int) -> None:
        if not 0 < frames <= MOST_FRAMES:
            return
        if block == 0:
            self.first = frames
        else:
            self.later = frames

    def told(self, started: Started) -> None:
        """What the worker says of it."""
        self.learn(0, started.first_block_frames or 0)
        self.learn(1, started.block_frames or 0)


@dataclass(frozen=True, slots=True)
class Base:
    """What earlier connections have counted up to."""

    frames: int = 0
    blocks: int = 0
    prompts: int = 0

    def added_to(self, frame: Frame) -> Frame:
        return replace(
            frame,
            index=_plus(frame.index, self.frames),
            block=_plus(frame.block, self.blocks),
            prompt_version=_plus(frame.prompt_version, self.prompts),
        )


def _plus(number: int | None, base: int) -> int | None:
    return None if number is None else number + base


class Counts:
    """The counts of one stream, as its caller counts.

    Attributes:
        frames: received so far.
        block: the one that the last frame is of; -1 before there is a frame.
        base: what is added to the counts of the connection that there is now.
        is_resetting: a reset was asked for, and no frame is known to come from after it.
    """

    def __init__(self) -> None:
        self.shape = Shape()
        self.start_over()

    def start_over(self) -> None:
        """Another stream: nothing has come yet."""
        self.frames, self.block = 0, -1
        self.base = self._stale = Base()
        self.is_resetting = False
        self._raw = 0  # frames of this connection's stream
        self._counting = (0, 0)  # block of this connection, and its frames so far

    def reset(self) -> None:
        """The stream starts over; frames from before still arrive for a while."""
        stale = self._stale if self.is_resetting else self.base
        self.start_over()
        self._stale, self.is_resetting = stale, True

    def connect(self, prompts: int) -> None:
        """Another connection goes on behind what has come, from prompt number `prompts` on."""
        self.base = Base(self.frames, self.block + 1, prompts - 1)
        self.is_resetting = False
        self._raw, self._counting = 0, (0, 0)

    def blocks_left(self, blocks: int) -> int:
        """How many blocks to ask another connection for, of a stream of so many."""
        if self.frames == 0:
            return blocks
        return self.shape.blocks_for(self.shape.frames(blocks) - self.frames)

    def blocks_here(self, blocks: int) -> int:
        """A stream of so many blocks, counted on this connection."""
        if self.base.frames == 0:
            return blocks
        return self.shape.blocks_for(self.shape.frames(blocks) - self.base.frames)

    def block_of(self, frame: Frame) -> int:
        """The block of a frame that is about to be taken."""
        if frame.block is not None:
            return self.base.blocks + frame.block
        raw = self._raw if frame.index is None else frame.index
        return self.base.blocks + self.shape.block_of(raw)

    def block_at(self, index: int) -> int:
        """The block that contains frame `index`; of those that have come, the one under way."""
        if index < self.base.frames:
            return self.base.blocks
        return self.base.blocks + self.shape.block_of(index - self.base.frames)

    def is_stale(self, frame: Frame) -> bool:
        """Whether the frame was made before the reset."""
        return self.is_resetting and bool(frame.index)

    def starts_anew(self, frame: Frame) -> bool:
        """Whether the worker has started the stream over, unforeseen."""
        return frame.index == 0 and self._raw > 0

    def take(self, frame: Frame, total: int) -> Frame | None:
        """The frame in the caller's counts; None where it is one more than `total`."""
        if self.is_stale(frame):
            return self._stale.added_to(frame)
        self.is_resetting = False
        self.block = self.block_of(frame)
        self._raw = self._raw + 1 if frame.index is None else frame.index + 1
        self._learn(frame)
        taken = self.base.frames + self._raw
        if self.base.frames and taken > total:
            return None
        self.frames = taken
        return self.base.added_to(frame)

    def take_block(self, event: BlockDone, total: int) -> BlockDone | None:
        """The same of the event that follows the frames of a block."""
        self.shape.learn(event.block, event.frames)
        index = self.base.frames + event.index
        if self.base.frames and index >= total:
            return None
        return self.added_to(event).model_copy(update={"index": index})

    def added_to(self, event: _Counted) -> _Counted:
        return event.model_copy(
            update={
                "block": self.base.blocks + event.block,
                "prompt_version": self.base.prompts + event.prompt_version,
            }
        )

    def _learn(self, frame: Frame) -> None:
        if frame.block is None:
            return
        block, seen = self._counting
        if frame.block == block + 1:
            self.shape.learn(block, seen)
        self._counting = (frame.block, seen + 1 if frame.block == block else 1)
