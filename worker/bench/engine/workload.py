"""What the bench streams: the params, the settings and the pictures of its blocks."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from framewire.worker.backends.base import Block, Defaults, Picture, Settings
from framewire.worker.backends.wan_session import WanSession
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset

PROMPT = "a red fox runs through snow, seen from the side"


@dataclass(frozen=True, slots=True)
class Workload:
    """What is streamed: size, steps, and how many settled blocks are measured.

    Attributes:
        live: blocks are made from moving pictures instead of text alone.
        context: frames of context; None takes the preset's.
        native: the model makes its own size, and the stream is scaled from it.
    """

    width: int
    height: int
    steps: int
    blocks: int = 8
    seed: int = 1
    live: bool = False
    context: int | None = None
    native: bool = False

    def params(self, preset: Preset) -> StreamParams:
        """As the engine takes it."""
        return StreamParams.of(
            preset,
            width=None if self.native else self.width,
            height=None if self.native else self.height,
            seed=self.seed,
            num_denoising_steps=self.steps,
            kv_cache_num_frames=self.context,
        )

    def settled(self, preset: Preset) -> int:
        """Blocks before the ones that count: until the context is full, three at least."""
        frames = self.context or preset.context_frames
        return max(3, 1 + -(-frames // preset.block_frames))

    def pictures(self, count: int, block: int) -> list[Picture]:
        """Input for a block of a live stream: a grey that moves a little from one to the next."""
        return moving_grey(count, block, self.width, self.height)

    def settings(self, defaults: Defaults) -> Settings:
        """As a worker would ask a backend of these defaults."""
        return Settings(
            prompt=PROMPT,
            width=self.width,
            height=self.height,
            seed=self.seed,
            num_denoising_steps=self.steps,
            denoising_steps=None,
            strength=defaults.strength,
            timestep_shift=defaults.timestep_shift,
            kv_cache_num_frames=self.context or defaults.kv_cache_num_frames,
            keep_first_frame=defaults.keep_first_frame,
            start_frame=None,
            live=self.live,
        )


def moving_grey(count: int, block: int, width: int, height: int) -> list[Picture]:
    """Pictures [height, width, 3] of block number `block`."""
    shape = (height, width, 3)
    return [np.full(shape, 96 + (count * block + i) % 64, np.uint8) for i in range(count)]


def next_block(session: WanSession, work: Workload, block: int) -> Callable[[], Block]:
    """Have a block made; returns what finishes it."""
    return session.next_block(work.pictures(session.pictures_wanted(), block))
