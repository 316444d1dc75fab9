"""Context that grows by one clean pass a block until the cache is full, then goes round (Self-Forcing).

A full cache is a ring: a block takes the slots of the oldest frames, and nothing moves, for
attention does not care for the order of keys. Positions go on growing with the stream, which only
their differences matter of, until they are set back, rarely and all at once. The first frames may
stay as a sink: they keep their distance from the newest block, so their keys are turned on with it,
always from what they were at first, so that rounding does not add up.
"""

from __future__ import annotations

import torch
from torch import Tensor

from framewire.worker.engine.denoising.passes import Place
from framewire.worker.engine.denoising.runner import BlockRunner
from framewire.worker.engine.network.attention import block_group
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.network.transformer import Ring, Window

MOST_POSITIONS = 1024
"""Positions are set back before they pass this: some four minutes of a stream."""


class AppendedContext:
    """A `Context` of clean keys."""

    def __init__(
        self,
        runner: BlockRunner,
        *,
        cache: KVCache,
        frames: int,
        sink: int,
        start: Tensor | None,
    ) -> None:
        """Begin with an empty cache.

        Args:
            frames: as many as a block sees before itself, `sink` of them for ever the first.
            start: latents [F, C, h, w] that come before the first block.
        """
        self._runner = runner
        self._cache = cache
        self._frames = frames
        self._sink = min(sink, frames)
        self._start = start
        self._position = 0  # of the next frame; until the cache is full, its slot too
        self._place: Place | None = None
        self._next = 0  # the slot of the next frame, once the cache is full
        self._is_full = False

    @property
    def early_latents(self) -> int:
        """None: pictures are never looked at."""
        return 0

    def prepare(self) -> None:
        """Nothing to prepare."""

    def enter(self, frames: int) -> Place:
        """Where the next block stands: behind the context, or in the place of its oldest frames."""
        if self._start is not None:
            start, self._start = self._start[-self._frames :], None
            self._write(self._behind(start.shape[0]), start)
        capacity = self._frames + frames
        if not self._is_full and self._position + frames <= capacity:
            self._place = self._behind(frames)
        else:
            self._place = self._instead_of_the_oldest(frames, capacity)
        return self._place

    def leave(self, latents: Tensor) -> None:
        """Write the block once more where it stands, clean."""
        assert self._place is not None, "a block leaves where it has entered"
        self._write(self._place, latents)

    def add_pictures(self, pictures: Tensor, latents: int) -> None:
        """Pictures are not needed."""

    def _behind(self, frames: int) -> Place:
        tokens = self._runner.rope.tokens_per_frame
        groups = block_group(self._position, frames, tokens)
        return Place(self._cache, Window(self._position * tokens, groups), self._position)

    def _instead_of_the_oldest(self, frames: int, capacity: int) -> Place:
        tokens = self._runner.rope.tokens_per_frame
        round_of = capacity - self._sink
        if not self._is_full:
            self._is_full = True
            self._next = self._sink + (self._position - self._sink) % round_of
            self._cache.remember_first(self._sink * tokens)
        if self._position + frames > MOST_POSITIONS:
            back = self._position - self._frames
            self._cache.turn(self._sink * tokens, capacity * tokens, -back)
            self._position -= back
        if self._sink:
            self._cache.turn_first(self._position - self._frames)
        layers = len(self._cache.layers)
        device = self._runner.transformer.device
        slots = torch.full((layers, 1), self._next * tokens, device=device)
        self._next = self._sink + (self._next - self._sink + frames) % round_of
        ring = Ring(self._sink * tokens, round_of * tokens)
        window = Window(0, block_group(self._frames, frames, tokens), ring=ring)
        return Place(self._cache, window, self._position, slots)

    def _write(self, place: Place, latents: Tensor) -> None:
        with self._runner.timer("context"), torch.no_grad():
            self._runner.write_context(place, latents)
        self._position += latents.shape[0]
