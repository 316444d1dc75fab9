"""How a stream keeps what it has made as context: the interface of all ways, and the choice.

Each preset names one way (`commit`): contexts that are rebuilt, appended, or left as they are.
Knows no passes; each way is a module of its own.
"""

from typing import Protocol

from torch import Tensor

from .runner import Place


class Keeper(Protocol):
    """What a stream remembers of its blocks, and where the next one stands."""

    @property
    def early_latents(self) -> int:
        """How many leading latents of the newest block must be decoded before the next."""
        ...

    def prepare(self) -> None:
        """Get ready for the next block; nothing has changed if this fails.

        Raises:
            RuntimeError: the last block's pictures are needed and weren't decoded.
        """
        ...

    def enter(self, frames: int) -> Place:
        """Bring the context of the next block, of `frames` frames, into the cache."""
        ...

    def leave(self, latents: Tensor) -> None:
        """The block has become clean latents [F, C, h, w]: keep what later ones need."""
        ...

    def add_pictures(self, pictures: Tensor, latents: int) -> None:
        """What the next `latents` latents were decoded to, [T, 3, H, W]."""
        ...
