"""Named ways to make a transformer faster after it was loaded, each off unless asked for.

What fused projections and fp8 products cost in exactness is measured by the bench.
"""

from __future__ import annotations

import importlib
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import nn

FP8_CAPABILITY = (8, 9)
"""The least compute capability that multiplies fp8 (Ada; Hopper and Blackwell are above it)."""
_FP8_MULTIPLE = 16


class SpeedError(ValueError):
    """This way to be faster cannot be had here; the message says what is missing."""


@torch.no_grad()
def fuse_qkv(model: WanTransformer3DModel) -> None:
    """Make one product of each self-attention's three, and let go of the three.

    Layer by layer, so that no more than one layer's weights are held twice. LoRA has to be merged
    before, since its names are those of the three.
    """
    for block in _blocks(model):
        attn = block.attn1
        parts = [attn.to_q, attn.to_k, attn.to_v]
        with torch.device("meta"):
            fused = nn.Linear(parts[0].in_features, sum(part.out_features for part in parts))
        weight = torch.cat([part.weight for part in parts])
        bias = torch.cat([part.bias for part in parts])
        fused.load_state_dict({"weight": weight, "bias": bias}, assign=True)
        attn.to_qkv = fused.requires_grad_(False)
        del attn.to_q, attn.to_k, attn.to_v
        attn.fused_projections = True


def to_fp8(model: WanTransformer3DModel) -> int:
    """Make the products of the repeated blocks fp8, weights and activations, by torchao.

    Activations are scaled row by row as they come. What is not in the blocks (patches, timesteps,
    text, head) stays as it is: it is little work and much of the picture.

    Returns:
        How many linear layers were changed.

    Raises:
        SpeedError: torchao isn't installed, or the device has no fp8 products.
    """
    blocks = _blocks(model)
    device = next(blocks.parameters()).device
    if not fp8_products(device):
        raise SpeedError("fp8 needs an NVIDIA GPU of compute capability 8.9 or more (Ada, Hopper)")
    try:
        quantization: Any = importlib.import_module("torchao.quantization")
    except ImportError as error:
        raise SpeedError("fp8 needs torchao: pip install torchao") from error
    changed = [name for name, layer in blocks.named_modules() if _takes_fp8(layer)]
    config = quantization.Float8DynamicActivationFloat8WeightConfig(
        granularity=quantization.PerRow()
    )
    quantization.quantize_(blocks, config, filter_fn=lambda layer, _: _takes_fp8(layer))
    return len(changed)


def fp8_products(device: torch.device) -> bool:
    """Whether the device multiplies fp8."""
    return device.type == "cuda" and torch.cuda.get_device_capability(device) >= FP8_CAPABILITY


def _blocks(model: WanTransformer3DModel) -> Any:
    return cast(Any, model).blocks


def _takes_fp8(layer: nn.Module) -> bool:
    return (
        isinstance(layer, nn.Linear)
        and layer.in_features % _FP8_MULTIPLE == 0
        and layer.out_features % _FP8_MULTIPLE == 0
    )
