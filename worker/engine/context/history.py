"""Which clean latents the next block sees before itself, from a memory bounded by the window."""

from __future__ import annotations

from collections import deque

import torch
from torch import Tensor

from framewire.worker.engine.preset import FRAMES_PER_LATENT


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
        self._pictures: dict[int, Tensor] = {}
        self._blocks = 0
        self._decoded = 0

    def start_with(self, latents: Tensor) -> None:
        """Put latents [F, C, h, w] before the first block, such as those of a start frame."""
        self._append(latents)

    def add_block(self, latents: Tensor) -> None:
        """Remember a finished block's latents [F, C, h, w]."""
        self._append(latents)
        self._blocks += 1

    def add_pictures(self, pictures: Tensor, latents: int) -> None:
        """Remember what the next `latents` latents were decoded to, [T, 3, H, W].

        Of each latent's pictures only the last can stand in a context. Copied, since a view would
        keep the whole block alive.
        """
        for later in reversed(range(latents)):
            if not self._keep_first:
                last = pictures[-1 - FRAMES_PER_LATENT * later]
                self._pictures[self._decoded] = last.clone()
            self._pictures.pop(self._decoded - self._frames, None)
            self._decoded += 1

    @property
    def early_latents(self) -> int:
        """How many latents must be decoded before the next block's context can be made."""
        place = self._still_place()
        return 0 if place is None else max(0, place + 1 - self._decoded)

    @property
    def empty(self) -> bool:
        """Whether there is nothing before the next block."""
        return self._first is None

    def still(self) -> Tensor | None:
        """The picture [3, H, W] to be encoded for the context's first place, if one is due.

        Raises:
            RuntimeError: it is due, but its latent hasn't been decoded.
        """
        place = self._still_place()
        if place is None:
            return None
        if place not in self._pictures:
            raise RuntimeError("decode the last block before the next: its pictures are needed")
        return self._pictures[place]

    def latents(self, still: Tensor | None) -> Tensor:
        """The context, [1..frames, C, h, w], with an encoded still [1, C, h, w] where one was due."""
        first = self._first if still is None else still
        assert first is not None, "there is no context before the first block"
        return torch.cat([first, *(latent[None] for latent in self._last)])

    def _still_place(self) -> int | None:
        """Which decoded latent, counted from the stream's first, the due still belongs to."""
        left_window = self._block_frames * (self._blocks - 1) >= self._frames
        if self.empty or self._keep_first or not left_window:
            return None
        return self._block_frames * self._blocks - self._frames

    def _append(self, latents: Tensor) -> None:
        if self._first is None:
            self._first, latents = latents[:1].clone(), latents[1:]
        self._last.extend(latents)
