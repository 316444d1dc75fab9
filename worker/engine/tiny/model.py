"""The `tiny` preset: a small model that was trained on a synthetic world and runs on a CPU.

It is built from the files that ship beside this module (`weights/`), at its one native size.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib import resources
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import nn

from framewire.worker.engine.build import Build, around, block_graphs
from framewire.worker.engine.checkpoint import CheckpointError, read_tensors
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.lora.chosen import ChosenAdapter, read_chosen
from framewire.worker.engine.lora.merge import Merge
from framewire.worker.engine.network.speed import SpeedError
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import Preset, TransformerDims
from framewire.worker.engine.ranks.leader import Ranks

from .text import TEXT_TOKENS, TinyTextEncoder
from .vae import TinyVae

TINY_DIMS = TransformerDims(
    layers=6,
    heads=4,
    ffn_dim=512,
    head_dim=48,
    text_dim=96,
    text_tokens=TEXT_TOKENS,
)
TINY = Preset(
    name="tiny",
    dims=TINY_DIMS,
    strength=0.5,
    strength_is_noise_level=True,
    width=160,
    height=96,
)
"""Krea's loop at a native size of 160x96. Strength differs: at the noise level that 0.5 means for
Krea, five sixths, this model does not follow its input."""
WEIGHTS = "model.safetensors"
VOCABULARY = "vocabulary.json"


def load_tiny(
    device: torch.device | str = "cpu",
    *,
    folder: Path | None = None,
    options: EngineOptions | None = None,
    ranks: Ranks | None = None,
    adapters: Sequence[ChosenAdapter] = (),
    live_adapters: bool = False,
    dtype: torch.dtype = torch.float32,
) -> Engine:
    """Build the engine of the tiny model.

    Args:
        folder: of the weights, if not the shipped ones.
        options: default to leaving out the pass at timestep 0, which changes next to nothing.
        ranks: that share the transformer's work.
        adapters: merged into the weights, or kept beside them where `live_adapters` is set.
        dtype: of transformer and autoencoder.

    Raises:
        CheckpointError: a file is missing or holds other weights.
        SpeedError, ValueError: what was asked for to be faster cannot be had here.
    """
    folder = folder or Path(str(resources.files(__package__))) / "weights"
    try:
        words = json.loads((folder / VOCABULARY).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"cannot read {folder / VOCABULARY}: {error}") from error
    transformer, vae, text = build(words)
    for name, part in (("transformer", transformer), ("vae", vae), ("text", text)):
        tensors = read_tensors(folder / WEIGHTS, prefix=f"{name}.")
        try:
            part.load_state_dict({k.removeprefix(f"{name}."): v for k, v in tensors.items()})
        except RuntimeError as error:
            raise CheckpointError(
                f"{folder / WEIGHTS} does not hold this model: {error}"
            ) from error
        # Not by the transformer's own `to`, which warns of parts to be kept in float32.
        kept_in = torch.float32 if part is text else dtype
        nn.Module.to(part, device, kept_in).eval().requires_grad_(False)
    cast(Any, vae).to(memory_format=torch.channels_last)  # a seventh less time on a CPU
    model = cast(WanTransformer3DModel, transformer)
    options = options or EngineOptions(skip_zero=True)
    if options.decoder != "wan":
        raise SpeedError(f"decoder {options.decoder}: {TINY.name} has one of its own")
    read = read_chosen(adapters, TINY_DIMS)
    if not live_adapters:
        Merge(read).into(model)
    how = Build(torch.device(device), dtype, dtype, options, ranks)
    live = read if live_adapters else ()
    return around(TINY, model, vae, vae, text, how, live, block_graphs(how))


def build(vocabulary: list[str]) -> tuple[nn.Module, TinyVae, TinyTextEncoder]:
    """The three networks with random weights: transformer, autoencoder, text encoder."""
    make = cast(Any, WanTransformer3DModel)  # diffusers' own types are partial
    transformer: nn.Module = make(**TINY_DIMS.config())
    return transformer, TinyVae(), TinyTextEncoder(vocabulary, width=TINY_DIMS.text_dim)
