"""Which clean latents the next block sees before itself.

Owns the memory of finished latents and pictures, bounded by the window, and the choice among
them. Knows no cache and no network.
"""

from collections import deque

import torch
from torch import Tensor

from .vae import FRAMES_PER_LATENT


class History:
    """The last latents and pictures of a stream, as many as a context can need.

    A context of n frames is the stream's first latent and its last n - 1. Once the first has left
    the window, the picture just before the last n - 1 latents stands in its place, encoded anew as
    a still (the reference's rule, section 2.4 of its description), or, with `keep_first`, the
    first latent itself for ever.
    """

    def __init__(self, frames: int, block_frames: int, *, keep_first: bool) -> None:
        """Remember what contexts of `frames` latent frames need."""
        self._frames = frames
        self._block_frames = block_frames
        self._keep_first = keep_first
        self._first: Tensor | None = None
        self._last: deque[Tensor] = deque(maxlen=frames - 1)
        self._pictures: deque[Tensor] = deque(maxlen=1 + FRAMES_PER_LATENT * (frames - 1))
        self._blocks = 0
        self._decoded = 0

    def start_with(self, latents: Tensor) -> None:
        """Put latents [F, C, h, w] before the first block, such as those of a start frame."""
        self._append(latents)

    def add_block(self, latents: Tensor) -> None:
        """Remember a finished block's latents [F, C, h, w]."""
        self._append(latents)
        self._blocks += 1

    def add_pictures(self, pictures: Tensor) -> None:
        """Remember a block's decoded pictures [T, 3, H, W], in the order of the blocks."""
        self._pictures.extend(pictures)
        self._decoded += 1

    @property
    def empty(self) -> bool:
        """Whether there is nothing before the next block."""
        return self._first is None

    def still(self) -> Tensor | None:
        """The picture [3, H, W] to be encoded for the context's first place, if one is due.

        Raises:
            RuntimeError: it is due, but the last block hasn't been decoded.
        """
        left_window = self._block_frames * (self._blocks - 1) >= self._frames
        if self.empty or self._keep_first or not left_window:
            return None
        if self._decoded < self._blocks:
            raise RuntimeError("decode the last block before the next: its pictures are needed")
        return self._pictures[0]

    def latents(self, still: Tensor | None) -> Tensor:
        """The context, [1..frames, C, h, w], with an encoded still [1, C, h, w] where one was due."""
        first = self._first if still is None else still
        assert first is not None, "there is no context before the first block"
        return torch.cat([first, *(latent[None] for latent in self._last)])

    def _append(self, latents: Tensor) -> None:
        if self._first is None:
            self._first, latents = latents[:1].clone(), latents[1:]
        self._last.extend(latents)
