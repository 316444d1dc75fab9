"""Networks with random weights: the published shapes without a download, or tiny ones for tests.

The same seed gives the same weights on a device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor, nn

from .network.weights import build_transformer, load_transformer
from .preset import (
    CAUSAL_FORCING_FRAMEWISE_2STEP_1_3B,
    KREA_REALTIME_14B,
    LONGLIVE_1_3B,
    SELF_FORCING_1_3B,
    STREAMDIFFUSIONV2_1_3B,
    Preset,
    TransformerDims,
)


def _tiny(preset: Preset, name: str) -> Preset:
    """The loop of `preset` around networks of thousands of parameters."""
    return preset.with_dims(
        name,
        TransformerDims(layers=2, heads=2, ffn_dim=48, head_dim=16, text_dim=16),
        width=64,
        height=64,
        vae={"base_dim": 2, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 0},
    )


TINY_RANDOM = _tiny(KREA_REALTIME_14B, "tiny-random")
"""Noise, but noise that every param shows in."""
TINY_SELF_FORCING = _tiny(SELF_FORCING_1_3B, "tiny-self-forcing")
TINY_LONGLIVE = _tiny(LONGLIVE_1_3B, "tiny-longlive")
TINY_FRAMEWISE = _tiny(CAUSAL_FORCING_FRAMEWISE_2STEP_1_3B, "tiny-framewise")
TINY_STREAMDIFFUSIONV2 = _tiny(STREAMDIFFUSIONV2_1_3B, "tiny-streamdiffusionv2")


class RandomPrompts:
    """Random embeds of any text, the same for the same text. A `PromptEncoder` without weights."""

    def __init__(self, dims: TransformerDims, device: torch.device, dtype: torch.dtype) -> None:
        self._dims = dims
        self._device, self._dtype = device, dtype

    def encode(self, text: str) -> Tensor:
        """Prompt embeds [tokens, text_dim], zero after as many rows as the text has words."""
        seed = int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")
        generator = torch.Generator().manual_seed(seed)
        embeds = torch.zeros(self._dims.text_tokens, self._dims.text_dim)
        rows = min(1 + len(text.split()), len(embeds))
        embeds[:rows] = torch.randn(rows, self._dims.text_dim, generator=generator)
        return embeds.to(self._device, self._dtype)


def random_transformer(
    dims: TransformerDims, *, device: torch.device, dtype: torch.dtype, seed: int = 0
) -> WanTransformer3DModel:
    """A transformer with random weights, large enough that every input shows in what it makes."""
    generator = torch.Generator(device).manual_seed(seed)
    weights = {}
    shapes = cast(nn.Module, build_transformer(dims)).state_dict()
    for name, meta in shapes.items():
        scale = meta[0].numel() ** -0.5 if meta.ndim > 1 else 0.1
        drawn = torch.empty(meta.shape, device=device, dtype=dtype).normal_(generator=generator)
        drawn.mul_(scale)
        if "norm" in name and name.endswith("weight"):
            drawn.add_(1.0)
        weights[name] = drawn
    return load_transformer(weights, dims, device=device, dtype=dtype)


def random_vae(
    config: dict[str, Any], *, device: torch.device, dtype: torch.dtype, seed: int = 0
) -> AutoencoderKLWan:
    """A VAE with random weights."""
    build = cast(Any, AutoencoderKLWan)  # diffusers' own types are partial
    vae = seeded(lambda: build(**config), seed)
    # Not by the model's own `to`, which warns of parts to be kept in float32, of which it has none.
    nn.Module.to(vae.requires_grad_(False).eval(), device, dtype)
    return cast(AutoencoderKLWan, vae)


def seeded(build: Callable[[], Any], seed: int) -> Any:
    """What `build` makes under a seed; the process's own random state is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return build()
