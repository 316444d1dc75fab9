"""What a settled block of a preset calls for, and what memory a stream takes, counted from the engine.

The engine itself runs on torch's meta device, where tensors have shapes and no values: any machine
will do, nothing is loaded, and there is no formula to keep in step with the code.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

from framewire.worker.backends.wan_memory import Footprint
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.network.speed import fuse_qkv
from framewire.worker.engine.network.weights import build_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import FRAMES_PER_LATENT, Preset
from framewire.worker.engine.text.weights import UMT5_XXL
from framewire.worker.engine.tiny import model as tiny
from framewire.worker.engine.vae.streaming import StreamingVae
from framewire.worker.engine.vae.taehv import TaehvDecoder

from .beside import put_beside
from .counting import Counter, Work
from .layers import CountedOnce, unseen

_META = torch.device("meta")
_BETWEEN = "between passes"
"""What a block calls for outside of any stage: choosing what stays in the context."""


@dataclass(frozen=True, slots=True)
class BlockCount:
    """A settled block.

    Attributes:
        stages: by stage: `encode` (input, or the picture that is encoded anew), `context`,
            `denoise` (all passes), `decode`, and what lies between.
        memory: bytes by owner: weights, caches, states, and the most that a stage needs beside.
        frames: that the block makes.
    """

    stages: Mapping[str, Work]
    memory: Mapping[str, int]
    frames: int

    @property
    def flops(self) -> float:
        """Operations of products, convolutions and attention, two for a multiply and add."""
        return sum(work.flops for work in self.stages.values())

    @property
    def sent(self) -> float:
        """Bytes that the counted rank sends to others."""
        return sum(work.sent for work in self.stages.values())

    @property
    def traffic(self) -> float:
        """Bytes that everything else reads and writes."""
        return sum(work.traffic for work in self.stages.values())


class _NoPrompts:
    """Embeds without values."""

    def __init__(self, preset: Preset) -> None:
        self._shape = (preset.dims.text_tokens, preset.dims.text_dim)

    def encode(self, text: str) -> Tensor:
        return torch.empty(self._shape, device=_META)


def count_block(
    preset: Preset,
    params: StreamParams,
    options: EngineOptions | None = None,
    *,
    live: bool = False,
    dtype: torch.dtype = torch.bfloat16,
    vae_dtype: torch.dtype = torch.float16,
    ranks: int = 1,
    lora_rank: int = 0,
) -> BlockCount:
    """Count one settled block, in eager mode; the mean of a period where the context has one.

    Args:
        live: of a block made from pictures.
        ranks: count rank 0 of so many, which encodes and decodes besides its share of the passes.
        lora_rank: of a live adapter beside every linear layer of the blocks; 0 is none.
        dtype: of the transformer; `vae_dtype` of what encodes and decodes.
    """
    parts = _parts(preset, options or EngineOptions(), dtype, vae_dtype, lora_rank)
    engine = parts.engine
    engine.transformer.ranks = ranks
    counter = Counter()
    generation = engine.open("a", params, timer=counter.stage)
    settled = 2 + -(-params.kv_cache_num_frames // preset.block_frames)

    def pictures() -> Tensor | None:
        shape = (generation.pictures_needed, 3, params.height, params.width)
        return torch.zeros(shape) if live else None

    engine.transformer.layer = unseen
    while generation.block < settled - 1:
        generation.generate_block(pictures())
    engine.transformer.layer = CountedOnce(counter)
    every = engine.options.context_every
    with counter:
        generation.generate_block(pictures())  # what it leaves behind is freed in the next one
        counter.stages.clear()
        for _ in range(every):
            generation.generate_block(pictures())
    stages = {
        name or _BETWEEN: Work(
            work.flops / every,
            work.launches // every,
            work.traffic / every,
            work.peak,
            work.sent / every,
        )
        for name, work in counter.stages.items()
    }
    memory = _memory(parts, params, live=live)
    memory |= {f"{name}, beside": work.peak for name, work in stages.items() if work.peak}
    return BlockCount(stages, memory, preset.block_frames * FRAMES_PER_LATENT)


@dataclass(frozen=True, slots=True)
class _Parts:
    """An engine without values, and how many bytes each of its networks is."""

    engine: Engine
    weights: Mapping[str, int]


def _parts(
    preset: Preset,
    options: EngineOptions,
    dtype: torch.dtype,
    vae_dtype: torch.dtype,
    lora_rank: int,
) -> _Parts:
    with _META:
        if preset.name == tiny.TINY.name:
            model, autoencoder, text_encoder = tiny.build(["a"])
            text: nn.Module | None = text_encoder
            vae: Any = autoencoder
        else:
            model, text = cast(nn.Module, build_transformer(preset.dims)), None
            make = cast(Any, AutoencoderKLWan)  # diffusers' own types are partial
            autoencoder = make(**preset.vae).requires_grad_(False)
            vae = StreamingVae(cast(AutoencoderKLWan, autoencoder))
            if preset.dims.text_dim == UMT5_XXL["d_model"]:
                text = cast(nn.Module, UMT5EncoderModel(UMT5Config(**UMT5_XXL)))
        taehv = TaehvDecoder() if options.decoder == "taehv" else None
    # Not by the models' own `to`, which warns of parts to be kept in float32.
    networks = {"transformer": (model, dtype), "VAE": (autoencoder, vae_dtype)}
    networks |= {"text encoder": (text, dtype)} if text is not None else {}
    networks |= {"TAEHV": (taehv, vae_dtype)} if taehv is not None else {}
    weights = {}
    for name, (network, kept_in) in networks.items():
        nn.Module.to(network, dtype=kept_in)
        weights[f"{name}, weights"] = sum(value.nbytes for value in network.parameters())
    transformer = cast(WanTransformer3DModel, model)
    if options.fuse_qkv:
        fuse_qkv(transformer)
    strengths = None
    if lora_rank:
        with _META:
            strengths, weights["live adapter"] = put_beside(transformer, lora_rank)
    engine = Engine(
        preset,
        transformer,
        vae,
        decoder=taehv or vae,
        text_encoder=_NoPrompts(preset),
        options=options,
    )
    engine.transformer.kernel, engine.transformer.strengths = _attention, strengths
    return _Parts(engine, weights)


def _attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """One launch, as any kernel that a GPU has; what the meta device does instead is many."""
    attended: Tensor = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[0]
    return attended


def _memory(parts: _Parts, params: StreamParams, *, live: bool) -> dict[str, int]:
    """Bytes of what stays between blocks."""
    engine = parts.engine
    footprint, dims = Footprint(engine), engine.preset.dims
    shared = "shared" if footprint.shares_cache else "a stream"
    held = dict(parts.weights)
    held[f"KV cache, {shared}"] = footprint.cache_bytes(params)
    held["text keys and values, shared"] = dims.kv_bytes(
        dims.text_tokens, engine.transformer.dtype.itemsize
    )
    states: dict[str, Any] = {"decoder": (engine.decoder, "decoder_state_bytes")}
    if live:
        states["encoder"] = (engine.vae, "encoder_state_bytes")
    for name, (part, measure) in states.items():
        measured = getattr(part, measure, None)
        if measured is not None:
            held[f"{name} state, a stream"] = measured(params.height, params.width)
    return held
