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

from framewire.worker.engine.checkpoint import CheckpointError, read_tensors
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.lora.chosen import ChosenAdapter, read_chosen
from framewire.worker.engine.lora.live import attach
from framewire.worker.engine.lora.merge import Merge
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
) -> Engine:
    """Build the engine of the tiny model, in float32.

    Args:
        folder: of the weights, if not the shipped ones.
        options: default to leaving out the pass at timestep 0, which changes next to nothing.
        ranks: that share the transformer's work.
        adapters: merged into the weights, or kept beside them where `live_adapters` is set.

    Raises:
        CheckpointError: a file is missing or holds other weights.
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
        part.to(device).eval().requires_grad_(False)
    model, options = (
        cast(WanTransformer3DModel, transformer),
        options or EngineOptions(skip_zero=True),
    )
    read = read_chosen(adapters, TINY_DIMS)
    strengths = attach(model, read) if live_adapters and read else None
    if not live_adapters:
        Merge(read).into(model)
    if ranks is not None:
        ranks.load(model, TINY_DIMS, options)
    engine = Engine(
        TINY,
        model,
        vae,
        decoder=vae,
        text_encoder=text,
        options=options,
        ranks=ranks,
    )
    engine.transformer.strengths = strengths
    return engine


def build(vocabulary: list[str]) -> tuple[nn.Module, TinyVae, TinyTextEncoder]:
    """The three networks with random weights: transformer, autoencoder, text encoder."""
    make = cast(Any, WanTransformer3DModel)  # diffusers' own types are partial
    transformer: nn.Module = make(**TINY_DIMS.config())
    return transformer, TinyVae(), TinyTextEncoder(vocabulary, width=TINY_DIMS.text_dim)
