"""The memory of one stream: its context by the preset's `context`, and how much room its keys take.

A context that is rebuilt for every block needs no cache of its own: the scratch serves.
"""

from __future__ import annotations

import weakref
from typing import Protocol

from torch import Tensor

from framewire.worker.engine.denoising.passes import Place
from framewire.worker.engine.denoising.runner import BlockRunner
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.network.scratch import Scratch
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams, check_switch
from framewire.worker.engine.preset import PIXEL_MULTIPLE, Preset
from framewire.worker.engine.shared import Shared

from .appended import AppendedContext, Rules
from .rebuilt import RebuiltContext
from .ring import RingContext


class Context(Protocol):
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


class StreamMemory:
    """What one stream keeps for as long as it is open, resets included.

    Attributes:
        rope: the rotary table of every position that its frames can have.
        records: where its device work is recorded, if that is wanted: with what it works on,
            the scratch or a cache of its own.
    """

    def __init__(
        self, shared: Shared, params: StreamParams, batch: int, start: Tensor | None
    ) -> None:
        """Allocate what is the stream's own.

        Args:
            batch: how many blocks are denoised together.
            start: latents [F, C, h, w] of a start frame.
        """
        preset, options, scratch = shared.preset, shared.options, shared.scratch
        rows, columns = params.height // PIXEL_MULTIPLE, params.width // PIXEL_MULTIPLE
        frames = window_frames(preset, params, 0 if start is None else start.shape[0])
        self._shared = shared
        self._params = params
        self._start = start
        self._frames, self._tokens = frames, frames * rows * columns
        self.rope = scratch.rope(max(frames, preset.wrap_at + 1), rows, columns)
        self.records = scratch.graphs
        self._own: KVCache | None = None
        if preset.context != "rebuilt" or options.context_every > 1:
            self._own = self._own_cache(scratch, batch)

    def _own_cache(self, scratch: Scratch, batch: int) -> KVCache:
        """One for this stream; where work on it is recorded, one that another has left.

        That one had as many frames too: what is kept beside a cache has an entry a frame.
        """

        def make() -> KVCache:
            return scratch.new_cache(self._tokens, batch)

        if scratch.graphs is None:
            return make()
        shape = (self._frames, self._tokens, batch)
        taken = scratch.caches.take(shape, make, scratch.graphs)
        weakref.finalize(self, scratch.caches.give_back, taken)
        self.records = taken.records
        return taken.memory

    def cache(self) -> KVCache:
        """The stream's cache; where it is the scratch it may move between blocks."""
        return self._own or self._shared.scratch.cache(self._tokens)

    def context(self, runner: BlockRunner) -> Context:
        """The context of a stream that begins, or begins again."""
        if self._own is not None and self.records is not None:
            self.records.begin()
        preset, options, params = self._shared.preset, self._shared.options, self._params
        if preset.context == "rebuilt":
            return RebuiltContext(
                preset,
                options,
                params,
                runner,
                cache=self.cache,
                vae=self._shared.vae,
                start=self._start,
            )
        if preset.context == "appended":
            rules = Rules(
                frames=params.kv_cache_num_frames,
                sink=self._sink(),
                sink_moves=options.sink_positions == "next",
                switch=params.prompt_switch,
                new_sink=preset.recache == "new_sink",
                flush_keeps=options.flush_keeps,
            )
            return AppendedContext(runner, rules, cache=self.cache(), start=self._start)
        return RingContext(
            preset,
            runner,
            cache=self.cache(),
            # Beside the sink the ring has to hold a frame and its successor.
            sink=min(self._sink(), params.kv_cache_num_frames - 1),
            start=self._start,
        )

    def _sink(self) -> int:
        sink = sink_frames(self._shared.preset, self._shared.options)
        return max(sink, int(self._params.keep_first_frame))


def sink_frames(preset: Preset, options: EngineOptions) -> int:
    """How many of a stream's first frames stay in its context."""
    return options.sink_frames or preset.sink_frames


def window_frames(preset: Preset, params: StreamParams, start_frames: int = 0) -> int:
    """Frames whose keys a pass can see: the context's and the block's own."""
    first = start_frames + preset.first_block_frames if preset.context == "ring" else 0
    return max(params.kv_cache_num_frames + preset.block_frames, first)


def check_loop(preset: Preset, options: EngineOptions) -> None:
    """Refuse a preset whose loop the engine doesn't have, and options that its loop doesn't.

    Raises:
        ValueError: says what is not supported.
    """
    check_switch(preset.prompt_switch, preset)
    ring = preset.context == "ring"
    for name, chosen, fits in (
        ("context_every", options.context_every > 1, preset.context == "rebuilt"),
        ("sink_frames", options.sink_frames > 0, preset.context != "rebuilt"),
        ("sink_positions", options.sink_positions == "made", preset.context == "appended"),
        ("flush_keeps", options.flush_keeps > 1, preset.context == "appended"),
        ("kv_attention_bias", options.kv_attention_bias < 1, preset.context == "rebuilt"),
        ("batch_steps", options.batch_steps, ring),
    ):
        if chosen and not fits:
            raise ValueError(f"{name} means nothing to the loop of preset {preset.name}")
    if ring and (preset.block_frames != 1 or preset.wrap_at < 1):
        raise ValueError(
            f"preset {preset.name}: a context of noisy keys takes blocks of one frame, and "
            "positions that wrap"
        )
    if not ring and (preset.wrap_at or preset.first_block_frames != preset.block_frames):
        raise ValueError(
            f"preset {preset.name}: only a context of noisy keys can have positions that wrap, or "
            "a first block of another length"
        )
