"""A live adapter without values beside the layers that are counted: what adapters cost, before any file.

Owns which layers it has: every linear one of the blocks, as the larger adapters that people train.
"""

from __future__ import annotations

from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import nn

from framewire.worker.engine.lora.adapter import Adapter, Pair
from framewire.worker.engine.lora.live import attach
from framewire.worker.engine.network.branch import Branch, Strengths


def put_beside(model: WanTransformer3DModel, rank: int) -> tuple[Strengths, int]:
    """Put an adapter of `rank` beside a model on the meta device, fused or not.

    Returns:
        Its strengths, and how many bytes its matrices are.
    """
    blocks = cast(Any, model).blocks
    pairs: dict[str, Pair] = {}
    for name, layer in blocks.named_modules(prefix="blocks"):
        if isinstance(layer, nn.Linear):
            names, outputs = [name], layer.out_features
            if name.endswith("attn1.to_qkv"):
                names = [name.removesuffix("qkv") + part for part in "qkv"]
                outputs //= len(names)
            for one in names:
                down = torch.empty(rank, layer.in_features)
                pairs[one] = Pair(down, torch.empty(outputs, rank), 1.0)
    strengths = attach(model, [(Adapter("counted", "", pairs, {}), 1.0)])
    branches = [layer for layer in blocks.modules() if isinstance(layer, Branch)]
    return strengths, sum(part.nbytes for one in branches for part in one.buffers(recurse=False))
