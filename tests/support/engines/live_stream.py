"""Streams of StreamDiffusionV2's loop around the tiny engine, fed with made pictures of 32x16."""

from typing import Any

import torch
from support.engines.tiny_engine import STREAMDIFFUSIONV2
from torch import Tensor

from framewire.worker.engine.generation import Generation
from framewire.worker.engine.params import StreamParams


def live_params(**given: Any) -> StreamParams:
    return StreamParams.of(STREAMDIFFUSIONV2, **({"width": 32, "height": 16, "seed": 4} | given))


def pictures(count: int, level: int = 100, noise: int = 0, seed: int = 0) -> Tensor:
    """Grey pictures uint8 [T, H, W, 3], with noise of so many levels."""
    generator = torch.Generator().manual_seed(seed)
    still = torch.full((count, 16, 32, 3), level)
    moved = torch.randint(-noise, noise + 1, still.shape, generator=generator) if noise else 0
    return (still + moved).clamp(0, 255).to(torch.uint8)


def live(generation: Generation, blocks: int, **look: Any) -> list[Tensor]:
    """The frames of the next blocks, each made from as many pictures as it needs."""
    return [
        generation.generate_block(pictures(generation.pictures_needed, **look))
        for _ in range(blocks)
    ]
