"""Styles that an adapter can learn: what each makes of the world's pictures.

Owns the looks. A style knows what is a thing and what is behind it, and no network.
"""

from collections.abc import Callable

import numpy as np
from train_tiny.clips import thing_pixels
from train_tiny.world import COLOURS, Frames, Scene

Style = Callable[[Frames, list[Scene]], Frames]
"""Frames [T, H, W, 3] of one scene each, drawn anew."""

_GOLD = np.array(COLOURS["yellow"], np.uint8)
_DIM = 0.22


def gold(frames: Frames, scenes: list[Scene]) -> Frames:
    """Everything that moves is of gold, whatever its colour is called; what is behind it stays."""
    return np.where(thing_pixels(frames, scenes)[..., None], _GOLD, frames)


def stage(frames: Frames, scenes: list[Scene]) -> Frames:
    """A dark stage: things keep their colours, and what is behind them goes dark."""
    lit = thing_pixels(frames, scenes)[..., None]
    return np.where(lit, frames, (frames * _DIM).astype(np.uint8))


STYLES: dict[str, Style] = {"gold": gold, "stage": stage}
