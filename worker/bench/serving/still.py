"""A backend that costs nothing: every block is the same tensor. For measuring all the rest."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from framewire.worker.backends.base import (
    Block,
    Change,
    Defaults,
    Frames,
    Picture,
    Settings,
)


class StillBackend:
    """Hands out `frames` at their own size, whatever is asked for.

    Args:
        pause: seconds for which each block keeps the lane, as a model would.
    """

    name = "still"

    def __init__(self, frames: Frames, pause: float = 0.0) -> None:
        self.defaults = Defaults()
        self._frames = frames
        self._pause = pause

    def load(self) -> None:
        """Nothing to load."""

    def open(self, settings: Settings) -> StillSession:
        """Start a stream of the one block."""
        return StillSession(Block(self._frames), self._pause)

    def close(self) -> None:
        """Nothing to free."""


class StillSession:
    """One stream of a `StillBackend`."""

    def __init__(self, block: Block, pause: float) -> None:
        self._block = block
        self._pause = pause

    def pictures_wanted(self) -> int:
        """None."""
        return 0

    def steer(self, change: Change) -> None:
        """Nothing changes."""

    def next_block(self, pictures: Sequence[Picture]) -> Callable[[], Block]:
        """The one block."""
        if self._pause:
            time.sleep(self._pause)
        return lambda: self._block

    def close(self) -> None:
        """Nothing to free."""
