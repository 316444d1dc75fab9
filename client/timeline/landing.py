"""In which block of a stream each change of a timeline lands, and where that block begins.

The one rule: a change lands in the block that contains its frame.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from framewire.protocol.steering import BlockShape

from .moves import Part


@dataclass(frozen=True, slots=True)
class Landing:
    """A change, in the counts of its stream but for `begins`.

    Attributes:
        frame: the one that it was asked for.
        block: the one that contains it.
        begins: the first frame of that block, of all frames that are shown.
        values: what changes, as a map of the wire.
        starts: whether it is what the stream starts with.
    """

    frame: int
    block: int
    begins: int
    values: Mapping[str, Any]
    starts: bool = False


def landings(parts: list[Part], shape: BlockShape) -> list[Landing]:
    """All that is shown, in order; what lands behind the end of its stream is left out."""
    found: list[Landing] = []
    before = 0
    for part in parts:
        found.append(Landing(0, 0, before, part.params, starts=True))
        for cue in part.cues:
            block = cue.at if cue.unit == "b" else shape.block_of(cue.at)
            first = shape.frames(block)
            frame = first if cue.unit == "b" else cue.at
            if part.frames is not None and first >= part.frames:
                continue
            held = sum(count for place, count in part.holds if place <= first)
            found.append(Landing(frame, block, before + first + held, cue.values))
        before += (part.frames or 0) + sum(count for _, count in part.holds)
    return found


def blocks_of(parts: list[Part], shape: BlockShape) -> int | None:
    """How many blocks are made for them; None for no end."""
    if any(part.frames is None for part in parts):
        return None
    return sum(shape.blocks_for(part.frames or 0) for part in parts)
