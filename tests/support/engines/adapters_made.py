"""Random adapters of the tiny transformer, written in the styles that people have them in.

Owns the three styles' names. Ranks and alphas differ from layer to layer.
"""

from pathlib import Path

import torch
from safetensors.torch import save_file
from support.engines.tiny_engine import TINY
from torch import Tensor

from framewire.worker.engine.preset import TransformerDims

ORIGINAL = {
    "attn1.to_q": "self_attn.q",
    "attn1.to_v": "self_attn.v",
    "attn1.to_out.0": "self_attn.o",
    "attn2.to_q": "cross_attn.q",
    "attn2.to_k": "cross_attn.k",
    "attn2.to_v": "cross_attn.v",
    "ffn.net.0.proj": "ffn.0",
    "ffn.net.2": "ffn.2",
}
"""Layers of a block that an adapter changes, in diffusers' words and in Wan's."""
STYLES = ("diffusers", "peft", "kohya", "comfy")

Pairs = dict[str, tuple[Tensor, Tensor, float]]
"""By layer, in diffusers' words: down, up and alpha."""


def random_pairs(
    dims: TransformerDims = TINY, *, seed: int = 0, alpha: float | None = None
) -> Pairs:
    """A pair for most layers of every block."""
    generator = torch.Generator().manual_seed(seed)
    dim = dims.heads * dims.head_dim
    pairs: Pairs = {}
    for block in range(dims.layers):
        for index, layer in enumerate(ORIGINAL):
            rank = 2 + (index + block) % 3
            inputs = dims.ffn_dim if layer == "ffn.net.2" else dim
            outputs = dims.ffn_dim if layer == "ffn.net.0.proj" else dim
            down = torch.randn(rank, inputs, generator=generator) * inputs**-0.5
            up = torch.randn(outputs, rank, generator=generator) * 0.5
            scaled_by = alpha if alpha is not None else 0.5 * (1 + index % 3) * rank
            pairs[f"blocks.{block}.{layer}"] = (down, up, scaled_by)
    return pairs


def in_style(pairs: Pairs, style: str) -> dict[str, Tensor]:
    """The tensors of a file. Diffusers' and PEFT's have no alpha: it goes into the matrices."""
    tensors: dict[str, Tensor] = {}
    for layer, (down, up, alpha) in pairs.items():
        _, block, rest = layer.split(".", 2)
        original = f"blocks.{block}.{ORIGINAL[rest]}"
        whole = up * (alpha / down.shape[0])
        if style == "diffusers":
            stem, sides = f"transformer.{layer}", ("lora_A", "lora_B")
        elif style == "peft":
            stem, sides = f"base_model.model.{original}", ("lora_A.default", "lora_B.default")
        elif style == "comfy":
            stem, sides = f"diffusion_model.{original}", ("lora_down", "lora_up")
        else:
            stem = "lora_unet_" + original.replace(".", "_")
            sides = ("lora_down", "lora_up")
        if style in ("kohya", "comfy"):
            whole, tensors[f"{stem}.alpha"] = up, torch.tensor(alpha)
        tensors[f"{stem}.{sides[0]}.weight"] = down.clone()
        tensors[f"{stem}.{sides[1]}.weight"] = whole.clone()
    return tensors


def adapter_file(folder: Path, name: str = "style", *, style: str = "kohya", seed: int = 0) -> Path:
    """A random adapter's file."""
    path = folder / f"{name}.safetensors"
    save_file(in_style(random_pairs(seed=seed), style), path)
    return path
