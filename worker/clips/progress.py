"""How far a clip is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """Said once the clip has a place, with no block yet, and after each block.

    Attributes:
        frames: made so far; of `num_frames`, where None follows a video's length.
        width, height: of the clip, in pixels.
    """

    blocks: int
    frames: int
    num_frames: int | None
    width: int
    height: int
    seed: int


Tell = Callable[[Progress], None]


def tell_nobody(progress: Progress) -> None:
    """For a clip that nobody watches."""
