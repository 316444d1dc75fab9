"""Self-Forcing's context as a window that moves: keys are copied back, and turned back in time, every block.

What the engine's ring, in which nothing moves, is compared with.
"""

from typing import Any

from torch import Tensor

from framewire.worker.engine.denoising.passes import Place
from framewire.worker.engine.network.attention import block_group
from framewire.worker.engine.network.transformer import Window


class RolledContext:
    """Takes what `AppendedContext` takes."""

    def __init__(
        self, runner: Any, *, cache: Any, frames: int, sink: int, start: Tensor | None
    ) -> None:
        self._runner, self._cache, self._frames = runner, cache, frames
        self._sink, self._start, self._held = min(sink, frames), start, 0
        self.early_latents = 0
        self._place: Place | None = None

    def prepare(self) -> None: ...

    def enter(self, frames: int) -> Place:
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
        assert self._place is not None
        self._write(self._place, latents)

    def add_pictures(self, pictures: Tensor, latents: int) -> None: ...

    def _at(self, frames: int) -> Place:
        tokens = self._runner.rope.tokens_per_frame
        groups = block_group(self._held, frames, tokens)
        return Place(self._cache, Window(self._held * tokens, groups), self._held)

    def _write(self, place: Place, latents: Tensor) -> None:
        self._runner.write_context(place, latents)
        self._held += latents.shape[0]
