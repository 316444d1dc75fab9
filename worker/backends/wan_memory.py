"""What streams need in memory, and whether there is room for one more.

Arithmetic over sizes: a stream's own state adds up, the scratch of blocks is shared, so that only
the largest counts. Room is taken when a stream opens, so that none runs out of it later.
"""

from __future__ import annotations

import os
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import torch

from framewire.worker.engine.context.memory import sink_frames, window_frames
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import FRAMES_PER_LATENT, LATENT_STRIDE, PIXEL_MULTIPLE

from .base import CapacityError, SettingsError

_FLOAT = 4
_TENSORS_OF_A_DECODE = 10
"""At its peak, each of the first width at full size; counted (`bench engine --count`)."""
_TAEHV_WIDTH = 15
"""By the same count."""
_KEPT_FREE = 0.05
"""Of the memory that is free after loading; fragments and the allocator's own."""


@dataclass(frozen=True, slots=True)
class Need:
    """Bytes of one stream: its own, and of the scratch that all share."""

    own: int
    scratch: int


class Footprint:
    """What streams of an engine need, by their params.

    Attributes:
        scratch_per_pixel: bytes that the passes over a block need in between, a pixel of a frame.
            An estimate, until a peak was measured.
        recorded_per_pixel: that recorded work holds for itself: as much again, since what is
            recorded on one stream of device work shares a pool that nothing else allocates from.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        dims = engine.preset.dims
        itemsize = engine.transformer.dtype.itemsize
        # Of a token: five tensors of the residual's width in float32, and the two halves of an ffn.
        token = dims.dim * _FLOAT * 5 + dims.ffn_dim * itemsize * 2
        block = engine.preset.block_frames
        # What decodes latent by latent takes one at a time; the others, a block.
        at_once = 1 if engine.decodes_by_latent else block
        frames = at_once * FRAMES_PER_LATENT
        width = int(engine.preset.vae.get("base_dim", 96))
        if engine.options.decoder == "taehv":
            width = _TAEHV_WIDTH
        pixels = getattr(engine.decoder, "dtype", torch.float32).itemsize
        decoding = frames * _TENSORS_OF_A_DECODE * width * pixels
        passes = block * token / PIXEL_MULTIPLE**2
        self.scratch_per_pixel = passes + decoding
        self._pass_per_frame = passes / block
        self.recorded_per_pixel = passes + decoding if engine.options.cuda_graph else 0.0

    @property
    def shares_cache(self) -> bool:
        """Whether keys and values are scratch, which one set of serves all streams."""
        preset, options = self._engine.preset, self._engine.options
        return preset.context == "rebuilt" and options.context_every == 1

    def cache_bytes(self, params: StreamParams) -> int:
        """Keys and values of a stream; where steps are batched there are some for each."""
        engine = self._engine
        preset, batch = engine.preset, 1
        if engine.options.batch_steps:
            steps = params.denoising_steps or (preset.steps or ())[: params.num_denoising_steps]
            batch = len(steps) or params.num_denoising_steps
        frame = params.width * params.height // PIXEL_MULTIPLE**2
        tokens = window_frames(preset, params) * frame * batch
        if preset.context == "appended":  # a sink's keys are held twice
            tokens += sink_frames(preset, engine.options) * frame // 2
        held = preset.dims.kv_bytes(tokens, engine.transformer.dtype.itemsize)
        return held // engine.transformer.ranks  # each has its heads

    def of(self, params: StreamParams) -> Need:
        """The need of one stream."""
        engine = self._engine
        dims = engine.preset.dims
        pixels = params.width * params.height
        cache = self.cache_bytes(params)
        latent = dims.channels * pixels // LATENT_STRIDE**2 * _FLOAT
        pictures = params.kv_cache_num_frames * 3 * pixels * _FLOAT
        own = pictures + latent * (3 * 8 + params.kv_cache_num_frames)
        again = 0  # frames that a re-cache passes besides those of a block
        if params.prompt_switch == "recache":
            again = params.kv_cache_num_frames
            own += latent * engine.preset.block_frames
        for part, name in (
            (engine.decoder, "decoder_state_bytes"),
            (engine.vae, "encoder_state_bytes"),
        ):
            measure = getattr(part, name, None)
            own += measure(params.height, params.width) if measure is not None else 0
        scratch = int((self.scratch_per_pixel + self.recorded_per_pixel) * pixels)
        scratch += int(again * self._pass_per_frame * pixels)
        if self.shares_cache:
            return Need(own, scratch + cache)
        return Need(own + cache, scratch)

    def measured(self, peak: int, params: StreamParams) -> None:
        """Take a measured peak of the passes, in bytes, in the place of the estimate."""
        self.scratch_per_pixel = peak / (params.width * params.height)
        self._pass_per_frame = 0.0  # warming up has passed all that is held again


class Budget:
    """Bytes to share out among streams.

    Args:
        total: free after the weights were loaded, before the first stream.
    """

    def __init__(self, total: int) -> None:
        self.total = int(total * (1 - _KEPT_FREE))
        self._taken: dict[Hashable, Need] = {}

    def take(self, who: Hashable, need: Need) -> None:
        """Give `who` the room it needs.

        Raises:
            SettingsError: it would not fit even alone.
            CapacityError: it doesn't fit beside the others.
        """
        alone = need.own + need.scratch
        if alone > self.total:
            raise SettingsError(
                "width",
                f"a stream of this size and context needs {_gb(alone)} of memory; "
                f"there is {_gb(self.total)}: ask for smaller pictures",
            )
        if self._sum([*self._taken.values(), need]) > self.total:
            raise CapacityError("no memory for one more stream: try again later")
        self._taken[who] = need

    def give_back(self, who: Hashable) -> None:
        """Take back what `who` was given, if anything."""
        self._taken.pop(who, None)

    @property
    def taken(self) -> int:
        """Bytes that the open streams need, the shared scratch once."""
        return self._sum(list(self._taken.values()))

    def places(self, need: Need) -> int:
        """How many streams of this need fit in all; at least one."""
        return max(1, (self.total - need.scratch) // max(1, need.own))

    @staticmethod
    def _sum(needs: list[Need]) -> int:
        return sum(need.own for need in needs) + max((need.scratch for need in needs), default=0)


def free_bytes(device: torch.device) -> int:
    """Memory that can still be had on the device, what torch holds and doesn't use included."""
    if device.type == "cuda":
        cuda: Any = torch.cuda
        unused = cuda.memory_reserved(device) - cuda.memory_allocated(device)
        return int(cuda.mem_get_info(device)[0] + unused)
    if "SC_AVPHYS_PAGES" in os.sysconf_names:
        return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return 4 * 10**9


def _gb(count: int) -> str:
    return f"{count / 1e9:.1f} GB"
