"""Self-Forcing's context as a window that moves: keys are copied back, and turned back in time, every block.

Keys are made anew, or dropped, at a new prompt, plainly too: in order, from the front. What the engine's ring, in which nothing moves, is compared with.
"""

from typing import Any

import torch
from torch import Tensor

from framewire.worker.engine.context.appended import Rules
from framewire.worker.engine.denoising.passes import Place
from framewire.worker.engine.network.attention import block_group
from framewire.worker.engine.network.transformer import Window


class RolledContext:
    """Takes what `AppendedContext` takes."""

    def __init__(self, runner: Any, rules: Rules, *, cache: Any, start: Tensor | None) -> None:
        self._runner, self._cache, self._frames = runner, cache, rules.frames
        self._sink, self._start, self._held = min(rules.sink, rules.frames), start, 0
        self.early_latents = 0
        self._place: Place | None = None
        self._rules, self._rolled = rules, False
        self._latents: list[Tensor] = []

    def prepare(self) -> None: ...

    def enter(self, frames: int) -> Place:
        if self._start is not None:
            start, self._start = self._start[-self._frames :], None
            self._write(self._at(start.shape[0]), start)
        elif self._runner.ramp.has_arrived:
            self._switch()
        self._rolled |= self._held > self._frames
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
        self._latents += list(latents)

    def _switch(self) -> None:
        tokens, held = self._runner.rope.tokens_per_frame, self._held
        if self._rules.switch == "recache" and held:
            stays = self._sink if self._rolled and not self._rules.new_sink else 0
            again = torch.stack(self._latents[-held:][stays:])
            self._held = stays
            self._runner.write_context(self._at(len(again)), again)
            self._held = held
        if self._rules.switch == "flush" and held > self._sink + self._rules.flush_keeps:
            self._held = self._sink + self._rules.flush_keeps
            self._cache.keep_last(held, self._held, self._sink, tokens)
