"""How much arithmetic a block is, and how much of it a device does in a second.

The count is of the engine itself, run on torch's meta device, where tensors have shapes and no
values: no formula to keep in step with the code.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from framewire.worker.engine.build import Build
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.network.weights import build_transformer
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import Preset
from framewire.worker.engine.vae.streaming import StreamingVae
from framewire.worker.engine.vae.taehv import TaehvDecoder

_META = torch.device("meta")
_SIDE = {"cuda": 8192, "cpu": 1024}
_TIMES = 10


class _NoPrompts:
    """Embeds without values."""

    def __init__(self, preset: Preset) -> None:
        self._shape = (preset.dims.text_tokens, preset.dims.text_dim)

    def encode(self, text: str) -> Tensor:
        return torch.empty(self._shape, device=_META)


def block_flops(preset: Preset, build: Build, params: StreamParams, *, live: bool = False) -> float:
    """Floating-point operations of a settled block, two for a multiply and add.

    Args:
        live: of a block made from pictures, their encoding included.
    """
    vae: Any
    make = cast(Any, AutoencoderKLWan)  # diffusers' own types are partial
    with _META:
        vae = StreamingVae(make(**preset.vae).requires_grad_(False))
        decoder: Any = TaehvDecoder() if build.options.decoder == "taehv" else vae
    engine = Engine(
        preset,
        build_transformer(preset.dims),
        vae,
        decoder=decoder,
        text_encoder=_NoPrompts(preset),
        options=build.options,
    )
    generation = engine.open("a", params)
    every = build.options.context_every
    settled = 2 + -(-params.kv_cache_num_frames // preset.block_frames)

    def pictures() -> Tensor | None:
        shape = (generation.pictures_needed, 3, params.height, params.width)
        return torch.zeros(shape) if live else None

    while generation.block < settled:
        generation.generate_block(pictures())
    with FlopCounterMode(display=False) as counter:
        for _ in range(every):
            generation.generate_block(pictures())
    return float(counter.get_total_flops()) / every


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large product, the median of a few: what a device can do at all."""
    side = _SIDE.get(device.type, _SIDE["cpu"])
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    rates = [2 * side**3 / _seconds(lambda: left @ right, device) for _ in range(_TIMES + 2)]
    return statistics.median(rates[2:])


def _seconds(call: Callable[[], Any], device: torch.device) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        call()
        return time.perf_counter() - began
    cuda: Any = torch.cuda
    start, end = (cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000
