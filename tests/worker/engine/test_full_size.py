"""The published sizes without their memory: whole blocks of 14B at 832x480 on the meta device.

A meta tensor has no values, so any step of a block that would read one back fails here, as it
would make the host wait for a GPU. All layers do the same, so only the largest has all of its own.
"""

from dataclasses import replace
from typing import Any

import pytest
import torch
from diffusers import AutoencoderKLWan
from support.engines.tiny_engine import VAE
from torch import Tensor

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.network.weights import build_transformer
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import (
    KREA_REALTIME_14B,
    LONGLIVE_1_3B,
    SELF_FORCING_1_3B,
    STREAMDIFFUSIONV2_1_3B,
    TEXT_TOKENS,
    WAN_1_3B,
    WAN_14B,
    Preset,
    TransformerDims,
)
from framewire.worker.engine.vae.streaming import StreamingVae

SHALLOW_1_3B = replace(WAN_1_3B, layers=4)


def shallow(preset: Preset, **changes: Any) -> Preset:
    """The loop and the widths of a preset in four layers."""
    return replace(preset, dims=SHALLOW_1_3B, **changes)


class MetaPrompts:
    """Prompt embeds without values."""

    def encode(self, text: str) -> Tensor:
        return torch.empty(TEXT_TOKENS, 4096, device="meta", dtype=torch.bfloat16)


def meta_engine(preset: Preset, options: EngineOptions, **vae_config: Any) -> Engine:
    """An engine of shapes."""
    with torch.device("meta"):
        model = AutoencoderKLWan(**vae_config).to(torch.bfloat16).requires_grad_(False)
        vae = StreamingVae(model)
    transformer = build_transformer(preset.dims).to(torch.bfloat16)
    return Engine(
        preset, transformer, vae, decoder=vae, text_encoder=MetaPrompts(), options=options
    )


@pytest.mark.parametrize(
    ("dims", "options"),
    [(WAN_14B, EngineOptions()), (SHALLOW_1_3B, EngineOptions(kv_attention_bias=0.3))],
    ids=["14B", "1.3B-bias"],
)
def test_blocks_of_the_published_sizes_read_nothing_back(
    dims: TransformerDims, options: EngineOptions
) -> None:
    """Text and live blocks, past the first re-encoded picture and through a prompt ramp."""
    preset = KREA_REALTIME_14B.with_dims("meta", dims)
    engine = meta_engine(preset, options)
    generation = engine.open("a fox", StreamParams.of(preset, num_denoising_steps=2))
    counts = []
    for block in range(4):
        if block == 2:
            generation.steer(prompt="snow", interp_steps=2)
        pictures = None
        if block == 3:
            pictures = torch.zeros(9, 480, 832, 3, dtype=torch.uint8)
        latents = generation.denoise_block(pictures)
        assert latents.is_meta and latents.shape == (3, 16, 60, 104)
        frames = generation.decode_block(latents)
        assert frames.is_meta and frames.shape[1:] == (480, 832, 3)
        counts.append(frames.shape[0])
    assert counts == [6, 12, 12, 12]
    cache = engine.scratch.cache(1)
    assert cache.nbytes == dims.kv_bytes(6 * 1560)


@pytest.mark.parametrize(
    ("preset", "frames", "cache_frames", "options"),
    [
        (shallow(SELF_FORCING_1_3B), [9, 12, 12], 21, EngineOptions()),
        (shallow(STREAMDIFFUSIONV2_1_3B), [5, 4, 4, 4, 4, 4, 4], 6, EngineOptions()),
        (shallow(STREAMDIFFUSIONV2_1_3B), [5, 0, 4, 4], 12, EngineOptions(batch_steps=True)),
    ],
    ids=["self-forcing", "streamdiffusionv2", "streamdiffusionv2-batched"],
)
def test_blocks_with_keys_of_their_own_read_nothing_back(
    preset: Preset, frames: list[int], cache_frames: int, options: EngineOptions
) -> None:
    """Which slots are taken, and which sink frame goes, is never asked of the device."""
    engine = meta_engine(preset, options, **VAE)
    generation = engine.open("a fox", StreamParams.of(preset))
    made = []
    for _ in frames:
        count = generation.pictures_needed if preset.motion else 0
        pictures = torch.zeros(count, 480, 832, 3, dtype=torch.uint8) if count else None
        made.append(generation.generate_block(pictures).shape[0])
    assert made == frames
    assert generation._memory.cache().nbytes == preset.dims.kv_bytes(cache_frames * 1560)


@pytest.mark.parametrize(
    ("preset", "switch", "positions"),
    [
        (shallow(LONGLIVE_1_3B), "recache", "next"),
        (shallow(LONGLIVE_1_3B, recache="new_sink"), "recache", "made"),
        (shallow(LONGLIVE_1_3B), "flush", "next"),
    ],
    ids=["recache", "new-sink", "flush"],
)
def test_a_new_prompt_reads_nothing_back(preset: Preset, switch: Any, positions: Any) -> None:
    """What is passed again, where frames are moved to and how far a sink is turned are known here."""
    engine = meta_engine(preset, EngineOptions(sink_positions=positions), **VAE)
    generation = engine.open("a fox", StreamParams.of(preset, prompt_switch=switch))
    for block in range(7):
        if block in (2, 4, 5):
            generation.steer(prompt=f"a fox {block}")
        assert generation.denoise_block().is_meta
        generation.decode_block(generation._progress.waiting[0])
