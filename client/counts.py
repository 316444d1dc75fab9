"""Counting frames and blocks: how many a block has, and what earlier connections counted up to.

Arithmetic only; knows no socket and no message but the frame.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from framewire.protocol import Frame


@dataclass(slots=True)
class Shape:
    """Frames a block. The hosted model's until the stream shows another one."""

    first: int = 6
    later: int = 12

    def frames(self, blocks: int) -> int:
        return self.first + self.later * (blocks - 1)

    def blocks_for(self, frames: int) -> int:
        """The fewest blocks with that many frames."""
        return 1 + max(0, -(-(frames - self.first) // self.later))

    def block_of(self, frame: int) -> int:
        return 0 if frame < self.first else 1 + (frame - self.first) // self.later

    def learn(self, block: int, frames: int) -> None:
        if block == 0:
            self.first = frames
        else:
            self.later = frames


@dataclass(frozen=True, slots=True)
class Base:
    """What earlier connections have counted up to."""

    frames: int = 0
    blocks: int = 0
    prompts: int = 0

    def added_to(self, frame: Frame) -> Frame:
        if self == NOTHING:
            return frame
        return replace(
            frame,
            index=_plus(frame.index, self.frames),
            block=_plus(frame.block, self.blocks),
            prompt_version=_plus(frame.prompt_version, self.prompts),
        )


NOTHING = Base()


def _plus(number: int | None, base: int) -> int | None:
    return None if number is None else number + base
