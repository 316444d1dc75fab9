"""Context that grows by one clean pass a block until the cache is full, then goes round (Self-Forcing).

A full cache is a ring: a block takes the slots of the oldest frames, and nothing moves, for
attention does not care for the order of keys. Positions go on growing with the stream, which only
their differences matter of, until they are set back, rarely and all at once. The first frames may
stay as a sink: they keep their distance from the newest block, so their keys are turned on with it;
or they stay where the stream began, ever further away.

Where a new prompt takes over, what was made under the old one is computed anew from the newest clean
latents (LongLive, arXiv 2509.22622), or dropped but for the sink and the newest frames (Infinity-RoPE,
arXiv 2511.20649), or left.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from framewire.worker.engine.denoising.passes import Place
from framewire.worker.engine.denoising.runner import BlockRunner
from framewire.worker.engine.network.attention import block_group
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.network.transformer import Ring, Window
from framewire.worker.engine.preset import PromptSwitch

from .sink import Sink

MOST_POSITIONS = 1024
"""Positions are set back before they pass this: some four minutes of a stream."""


@dataclass(frozen=True)
class Rules:
    """What an appended context keeps.

    Attributes:
        frames: as many as a block sees before itself, `sink` of them for ever the first.
        sink_moves: the sink stays next to the frames behind it, instead of where it was made.
        switch: what becomes of the context where a new prompt has taken over.
        new_sink: a re-cache makes the oldest frames that are left the sink, once the first have gone
            out of it; else the sink keeps its keys.
        flush_keeps: the newest frames that a flush leaves, besides the sink.
    """

    frames: int
    sink: int = 0
    sink_moves: bool = True
    switch: PromptSwitch = "blend"
    new_sink: bool = False
    flush_keeps: int = 1


class AppendedContext:
    """A `Context` of clean keys."""

    def __init__(
        self, runner: BlockRunner, rules: Rules, *, cache: KVCache, start: Tensor | None
    ) -> None:
        """Begin with an empty cache.

        Args:
            start: latents [F, C, h, w] that come before the first block.
        """
        self._runner = runner
        self._rules = rules
        self._cache = cache
        self._tokens = runner.rope.tokens_per_frame
        self._sink = Sink(cache, min(rules.sink, rules.frames), self._tokens)
        self._start = start
        self._position = 0  # of the next frame
        self._held = 0  # frames in the cache
        self._capacity = 0
        self._place: Place | None = None
        self._next = 0  # the slot of the next frame, once the cache is full
        self._is_full = False
        self._latents: Tensor | None = None  # of the frames that are held, where they are wanted

    @property
    def early_latents(self) -> int:
        """None: pictures are never looked at."""
        return 0

    def prepare(self) -> None:
        """Nothing to prepare."""

    def enter(self, frames: int) -> Place:
        """Where the next block stands: behind the context, or in the place of its oldest frames."""
        self._capacity = self._rules.frames + frames
        if self._start is not None:
            start, self._start = self._start[-self._rules.frames :], None
            self._write(self._behind(start.shape[0]), start)
        elif self._held and self._runner.ramp.has_arrived:
            self._switch()
        if self._position + frames > MOST_POSITIONS:
            self._set_back()
        if not self._is_full and self._held + frames <= self._capacity:
            self._place = self._behind(frames)
        else:
            self._place = self._instead_of_the_oldest(frames)
        return self._place

    def leave(self, latents: Tensor) -> None:
        """Write the block once more where it stands, clean."""
        assert self._place is not None, "a block leaves where it has entered"
        self._write(self._place, latents)

    def add_pictures(self, pictures: Tensor, latents: int) -> None:
        """Pictures are not needed."""

    def _behind(self, frames: int) -> Place:
        groups = block_group(self._held, frames, self._tokens)
        return Place(self._cache, Window(self._held * self._tokens, groups), self._position)

    def _instead_of_the_oldest(self, frames: int) -> Place:
        sink = self._sink.frames
        if not self._is_full:
            self._is_full = True
            self._next = sink + (self._held - sink) % (self._capacity - sink)
        if self._rules.sink_moves:
            self._sink.move_to(self._position - self._rules.frames)
        return self._round(frames, self._rules.frames)

    def _round(self, frames: int, seen: int) -> Place:
        """The ring's oldest slots, `frames` of them, for what sees `seen` frames besides itself."""
        ring = Ring(self._sink.frames * self._tokens, self._round_frames * self._tokens)
        window = Window(0, block_group(seen, frames, self._tokens), ring=ring)
        layers, device = len(self._cache.layers), self._runner.transformer.device
        slots = torch.full((layers, 1), self._next * self._tokens, device=device)
        return Place(self._cache, window, self._position, slots)

    @property
    def _round_frames(self) -> int:
        return self._capacity - self._sink.frames

    def _write(self, place: Place, latents: Tensor) -> None:
        frames = latents.shape[0]
        with self._runner.timer("context"), torch.no_grad():
            self._runner.write_context(place, latents)
        self._position += frames
        if self._is_full:
            self._next = self._slot(frames)
        self._held = min(self._held + frames, self._capacity)
        if self._rules.switch == "recache":
            known = latents if self._latents is None else torch.cat([self._latents, latents])
            self._latents = known[-self._held :].clone()

    def _slot(self, later: int) -> int:
        """The slot so many frames after the next one's, or before."""
        sink = self._sink.frames
        return sink + (self._next - sink + later) % self._round_frames

    def _set_back(self) -> None:
        """Move everything to the earliest positions at which nothing else changes."""
        back = self._position - self._held
        self._cache.turn(self._sink.frames * self._tokens, self._held * self._tokens, -back)
        self._sink.move_to(self._sink.at - back)
        self._position -= back

    def _switch(self) -> None:
        """Another prompt has taken over."""
        if self._rules.switch == "recache":
            self._recache()
        elif self._rules.switch == "flush":
            self._flush()

    def _recache(self) -> None:
        """Pass what is held once more, clean, under the prompt now in use; each frame sees all.

        Nothing has gone out of a cache that isn't full yet, so that the sink is passed with the rest.
        """
        assert self._latents is not None, "latents are remembered where a switch needs them"
        sink = self._sink.frames
        if self._is_full and not self._rules.new_sink:
            frames = self._round_frames
            place = self._round(frames, sink)
        else:
            self._is_full = False
            frames = self._held
            place = Place(self._cache, Window(0, block_group(0, frames, self._tokens)), 0)
            self._sink.written(self._position - frames)
        place = replace(place, position=self._position - frames)
        with self._runner.timer("context"), torch.no_grad():
            self._runner.write_context(place, self._latents[-frames:], "recache")

    def _flush(self) -> None:
        """Drop all but the sink and the newest frames."""
        sink, keeps = self._sink.frames, self._rules.flush_keeps
        if self._held <= sink + keeps:
            return
        newest = range(-keeps, 0)
        slots = [self._slot(k) if self._is_full else self._held + k for k in newest]
        self._cache.bring(slots, sink, self._tokens)
        self._held, self._is_full = sink + keeps, False
        if self._rules.sink_moves:
            self._sink.move_to(self._position - self._held)
