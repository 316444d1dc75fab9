"""From a preset and weights to a ready engine, with what makes it faster applied in its order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from .engine import Engine
from .interfaces import Decoder, Encoder, PromptEncoder
from .lora.adapter import Adapter
from .lora.chosen import ChosenAdapter, read_chosen
from .lora.live import attach
from .lora.merge import Merge
from .network.graphs import BlockGraphs
from .network.kernels import choose
from .network.speed import SpeedError, fuse_qkv, to_fp8
from .network.weights import load_transformer
from .options import EngineOptions
from .preset import Preset
from .random_weights import RandomPrompts, random_transformer, random_vae, seeded
from .ranks.leader import Ranks
from .recorded_vae import RecordedDecoder, RecordedEncoder
from .text.encoder import TextEncoder
from .text.random_encoder import random_text_encoder
from .vae.streaming import StreamingVae
from .vae.taehv import TaehvDecoder, load_taehv
from .vae.weights import load_vae


@dataclass(frozen=True)
class Build:
    """How an engine is built.

    Attributes:
        dtype: of the transformer and the text encoder; `vae_dtype` of the VAE and TAEHV.
        options: all that makes it faster, off by default.
        ranks: that share the transformer's work.
        adapters: merged into the weights, or kept beside them where `live_adapters` is set.
    """

    device: torch.device
    dtype: torch.dtype
    vae_dtype: torch.dtype
    options: EngineOptions = field(default_factory=EngineOptions)
    ranks: Ranks | None = None
    adapters: Sequence[ChosenAdapter] = ()
    live_adapters: bool = False


@dataclass(frozen=True)
class WeightFiles:
    """Where a preset's published weights lie.

    Attributes:
        transformer: one file, or the shards of one.
        text: the folder that holds `tokenizer` and `text_encoder`.
        taehv: needed for that decoder only.
    """

    transformer: Sequence[Path]
    text: Path
    vae: Path
    taehv: Path | None = None


def load_engine(preset: Preset, files: WeightFiles, build: Build) -> Engine:
    """An engine of published weights.

    Raises:
        CheckpointError: a file cannot be used; names it and the key.
        SpeedError, ValueError: what was asked for to be faster cannot be had here.
    """
    adapters = read_chosen(build.adapters, preset.dims)
    model = load_transformer(
        files.transformer,
        preset.dims,
        device=build.device,
        dtype=build.dtype,
        sections=preset.sections,
        change=None if build.live_adapters else Merge(adapters),
    )
    vae = load_vae(files.vae, preset.vae, device=build.device, dtype=build.vae_dtype)
    taehv = None
    if build.options.decoder == "taehv":
        if files.taehv is None:
            raise ValueError("the taehv decoder has no weight file")
        taehv = load_taehv(files.taehv, device=build.device, dtype=build.vae_dtype)
    text = TextEncoder.from_pretrained(files.text, build.device, build.dtype)
    live = adapters if build.live_adapters else ()
    return assemble(preset, model, vae, taehv, text, build, live)


def random_engine(
    preset: Preset, build: Build, seed: int = 0, *, text_encoder: bool = False
) -> Engine:
    """An engine of the preset's shapes with random weights.

    Args:
        text_encoder: with one of the published size; else prompts' embeds come from a table.
    """
    device, dtype = build.device, build.dtype
    model = random_transformer(preset.dims, device=device, dtype=dtype, seed=seed)
    adapters = read_chosen(build.adapters, preset.dims)
    live = adapters if build.live_adapters else ()
    if not live:
        Merge(adapters).into(model)
    vae = random_vae(preset.vae, device=device, dtype=build.vae_dtype, seed=seed)
    taehv = None
    if build.options.decoder == "taehv":
        taehv = seeded(TaehvDecoder, seed).requires_grad_(False).eval()
        taehv = taehv.to(device, build.vae_dtype)
    prompts: PromptEncoder = RandomPrompts(preset.dims, device, dtype)
    if text_encoder:
        prompts = random_text_encoder(device=device, dtype=dtype, seed=seed)
    return assemble(preset, model, vae, taehv, prompts, build, live)


def assemble(
    preset: Preset,
    model: WanTransformer3DModel,
    vae: AutoencoderKLWan,
    taehv: TaehvDecoder | None,
    text: PromptEncoder,
    build: Build,
    live: Sequence[tuple[Adapter, float]] = (),
) -> Engine:
    """Put loaded parts together: fuse first, then quantise what was fused, then compile it.

    Args:
        live: adapters that stay beside the weights, each with its usual strength.
    """
    if build.options.cuda_graph and build.device.type != "cuda":
        raise SpeedError(f"CUDA graphs need a CUDA device, not {build.device.type}")
    if build.ranks is not None:
        if live:
            raise ValueError("several ranks have no live adapters: merge them")
        build.ranks.load(model, preset.dims, build.options)
    _, kernel = choose(build.options.attention, build.device, build.dtype)
    if build.options.fuse_qkv:
        fuse_qkv(model)
    strengths = attach(model, live) if live else None
    if build.options.fp8:
        to_fp8(model)
    encoder: Encoder = StreamingVae(vae)
    decoder: Decoder = taehv or StreamingVae(vae)
    graphs = BlockGraphs() if build.options.cuda_graph else None
    if graphs is not None:
        encoder = RecordedEncoder(encoder, attrgetter("slots"), graphs)
        remembered = attrgetter("slots" if taehv is None else "memories")
        # Decoding runs beside denoising, so it has records, and their memory, of its own.
        decoder = RecordedDecoder(decoder, remembered, BlockGraphs())
    engine = Engine(
        preset,
        model,
        encoder,
        decoder=decoder,
        text_encoder=text,
        options=build.options,
        ranks=build.ranks,
    )
    engine.transformer.kernel = kernel
    engine.transformer.strengths = strengths
    if build.options.compile:
        engine.transformer.compile()
    engine.scratch.graphs = graphs
    return engine
