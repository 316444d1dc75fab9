"""A tiny random engine on the CPU: the real parts, small.

Owns its sizes and seeds. The text encoder is a table of random embeds, one row of which is enough
to tell prompts apart.
"""

import gc
from dataclasses import dataclass, field
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor, nn

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.network.weights import build_transformer, load_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import (
    KREA_REALTIME_14B,
    LONGLIVE_1_3B,
    SELF_FORCING_1_3B,
    STREAMDIFFUSIONV2_1_3B,
    TEXT_TOKENS,
    Preset,
    TransformerDims,
)
from framewire.worker.engine.vae.streaming import StreamingVae

TINY = TransformerDims(layers=2, heads=2, ffn_dim=48, head_dim=16, text_dim=16)
PRESET = KREA_REALTIME_14B.with_dims("krea-tiny", TINY)
SELF_FORCING = SELF_FORCING_1_3B.with_dims("self-forcing-tiny", TINY)
LONGLIVE = LONGLIVE_1_3B.with_dims("longlive-tiny", TINY)
STREAMDIFFUSIONV2 = STREAMDIFFUSIONV2_1_3B.with_dims("streamdiffusionv2-tiny", TINY)
VAE = {"base_dim": 2, "dim_mult": [1, 1, 1, 1], "num_res_blocks": 0}


@dataclass
class PromptTable:
    """Random embeds of any text, the same for the same text; counts how often it is asked."""

    seen: dict[str, Tensor] = field(default_factory=dict)

    def encode(self, text: str) -> Tensor:
        if text not in self.seen:
            generator = torch.Generator().manual_seed(sum(map(ord, text)))
            embeds = torch.zeros(TEXT_TOKENS, TINY.text_dim)
            embeds[: len(text)] = torch.randn(len(text), TINY.text_dim, generator=generator)
            self.seen[text] = embeds
        return self.seen[text]


def tiny_weights(dims: TransformerDims = TINY, seed: int = 0) -> dict[str, Tensor]:
    """Random weights in diffusers' names, large enough that every input shows in the output."""
    generator = torch.Generator().manual_seed(seed)
    weights = {}
    for name, meta in cast(nn.Module, build_transformer(dims)).state_dict().items():
        scale = meta.shape[-1] ** -0.5 if meta.ndim > 1 else 0.1
        weights[name] = torch.randn(meta.shape, generator=generator) * scale
        if "norm" in name and name.endswith("weight"):
            weights[name] += 1.0
    return weights


def tiny_vae(seed: int = 0) -> StreamingVae:
    """A random VAE of six thousand parameters."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        build = cast(Any, AutoencoderKLWan)  # diffusers' own types are partial
        return StreamingVae(build(**VAE).requires_grad_(False).eval())


def tiny_engine(
    *,
    options: EngineOptions | None = None,
    dtype: torch.dtype = torch.float32,
    preset: Preset = PRESET,
    transformer: WanTransformer3DModel | None = None,
) -> Engine:
    """An engine of Krea's loop, or another's, around a tiny transformer, or the given, and VAE."""
    if transformer is None:
        transformer = load_transformer(tiny_weights(), TINY, dtype=dtype)
    vae = tiny_vae()
    return Engine(
        preset, transformer, vae, decoder=vae, text_encoder=PromptTable(), options=options
    )


def tensor_bytes() -> int:
    """Bytes of all tensors alive, each storage once."""
    gc.collect()
    storages = {
        thing.untyped_storage().data_ptr(): thing.untyped_storage().nbytes()
        for thing in gc.get_objects()
        if type(thing) is Tensor and thing.device.type == "cpu"
    }
    return sum(storages.values())
