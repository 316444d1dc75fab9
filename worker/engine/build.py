"""From a preset and weights to a ready engine, with what makes it faster applied in its order."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from pathlib import Path

import torch
from diffusers import AutoencoderKLWan, WanTransformer3DModel

from .checkpoint import read_tensors
from .engine import Engine
from .interfaces import Decoder, Encoder, PromptEncoder
from .lora.adapter import Adapter, adapter_of
from .lora.alpha import said_alpha
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
from .vae.layout import fastest_kernels
from .vae.streaming import StreamingVae
from .vae.taehv import TaehvDecoder, load_taehv
from .vae.weights import load_vae

logger = logging.getLogger(__name__)


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
        adapter: that is a part of the model.
    """

    transformer: Sequence[Path]
    text: Path
    vae: Path
    taehv: Path | None = None
    adapter: Path | None = None


def load_engine(preset: Preset, files: WeightFiles, build: Build) -> Engine:
    """An engine of published weights.

    Raises:
        CheckpointError: a file cannot be used; names it and the key.
        SpeedError, ValueError: what was asked for to be faster cannot be had here.
    """
    adapters = read_chosen(build.adapters, preset.dims)
    merged = [] if build.live_adapters else adapters
    model = load_transformer(
        files.transformer,
        preset.dims,
        device=build.device,
        dtype=build.dtype,
        sections=preset.sections,
        change=Merge([*own_adapter(preset, files), *merged]),
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


def own_adapter(preset: Preset, files: WeightFiles) -> list[tuple[Adapter, float]]:
    """The adapter without which the model isn't what was published, whole; none of most models."""
    if not preset.adapter_section:
        return []
    if files.adapter is None:
        raise ValueError(f"preset {preset.name} has no file of its adapter")
    tensors = read_tensors(files.adapter, sections=(preset.adapter_section,))
    alpha = said_alpha(files.adapter)
    return [(adapter_of(tensors, preset.dims, source=str(files.adapter), alpha=alpha), 1.0)]


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
    """Put loaded parts together; where work is recorded, encoding and decoding are as well.

    Args:
        live: adapters that stay beside the weights, each with its usual strength.
    """
    autoencoder = StreamingVae(vae)
    encoder: Encoder = autoencoder
    decoder: Decoder = taehv or autoencoder
    if build.options.tune_convolutions:
        _tune(preset, autoencoder, taehv)
    graphs = block_graphs(build)
    if graphs is not None:
        encoder = RecordedEncoder(encoder, attrgetter("slots"), graphs)
        remembered = attrgetter("slots" if taehv is None else "memories")
        # Decoding runs beside denoising, so it has records, and their memory, of its own.
        decoder = RecordedDecoder(decoder, remembered, BlockGraphs())
    engine = around(preset, model, encoder, decoder, text, build, live, graphs)
    for part in (autoencoder, taehv) if build.options.compile else ():
        if part is not None:
            part.compile_steps()
            engine.compiled.append(part)
    return engine


def block_graphs(build: Build) -> BlockGraphs | None:
    """Where blocks are to be recorded, if they are.

    Raises:
        SpeedError: this device records nothing.
    """
    if not build.options.cuda_graph:
        return None
    if build.device.type != "cuda":
        raise SpeedError(f"CUDA graphs need a CUDA device, not {build.device.type}")
    return BlockGraphs()


def around(
    preset: Preset,
    model: WanTransformer3DModel,
    encoder: Encoder,
    decoder: Decoder,
    text: PromptEncoder,
    build: Build,
    live: Sequence[tuple[Adapter, float]] = (),
    graphs: BlockGraphs | None = None,
) -> Engine:
    """An engine around a transformer: fuse first, then quantise what was fused, then compile it.

    Raises:
        SpeedError, ValueError: what was asked for to be faster cannot be had here.
    """
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


def _tune(preset: Preset, vae: StreamingVae, taehv: TaehvDecoder | None) -> None:
    """Keep the faster layout of all convolutions, at the preset's size."""
    with fastest_kernels():
        found = vae.tune(preset.height, preset.width)
        if taehv is not None:
            found |= taehv.tune(preset.height, preset.width)
    for name, gain in found.items():
        kept = f"channels last, {gain:.2f} times as fast" if gain > 1 else "as they were"
        logger.info("convolutions of the %s: %s", name, kept)
