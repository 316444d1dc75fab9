"""Context that grows by one clean pass a block until the cache is full, then rolls (Self-Forcing).

Positions are the cache's: the same as the stream's until it is full, bounded for ever after. The
first frames may stay as a sink.
"""

from __future__ import annotations

import torch
from torch import Tensor

from framewire.worker.engine.denoising.passes import Place
from framewire.worker.engine.denoising.runner import BlockRunner
from framewire.worker.engine.network.attention import block_group
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.network.transformer import Window
from framewire.worker.engine.options import EngineOptions


class AppendedContext:
    """A `Context` of clean keys."""

    def __init__(
        self,
        options: EngineOptions,
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
        self._bias = options.kv_attention_bias
        self._runner = runner
        self._cache = cache
        self._frames = frames
        self._sink = min(sink, frames)
        self._start = start
        self._held = 0
        self._place: Place | None = None

    @property
    def early_latents(self) -> int:
        """None: pictures are never looked at."""
        return 0

    def prepare(self) -> None:
        """Nothing to prepare."""

    def enter(self, frames: int) -> Place:
        """Make room behind the context."""
        if self._start is not None:
            start, self._start = self._start[-self._frames :], None
            self._write(self._at(start.shape[0]), start)
        kept = min(self._held, self._frames)
        tokens = self._runner.rope.tokens_per_frame
        self._cache.keep_last(self._held, kept, min(self._sink, kept), tokens)
        self._held = kept
        self._place = self._at(frames)
        return self._place

    def leave(self, latents: Tensor) -> None:
        """Write the block once more where it stands, clean."""
        assert self._place is not None, "a block leaves where it has entered"
        self._write(self._place, latents)

    def add_pictures(self, pictures: Tensor, latents: int) -> None:
        """Pictures are not needed."""

    def _at(self, frames: int) -> Place:
        tokens = self._runner.rope.tokens_per_frame
        groups = block_group(self._held, frames, tokens, self._bias)
        return Place(self._cache, Window(self._held * tokens, groups), self._held)

    def _write(self, place: Place, latents: Tensor) -> None:
        with self._runner.timer("context"), torch.no_grad():
            self._runner.write_context(place, latents)
        self._held += latents.shape[0]
