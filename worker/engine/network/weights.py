"""Building the transformer from published weights, under any of their naming schemes.

Original Wan names (`model.blocks.0.self_attn.q.weight`, with or without `model.`) become
diffusers'. Reading files and filling the module is `checkpoint`'s.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor

from framewire.worker.engine.checkpoint import Change, CheckpointError, assign, read_tensors
from framewire.worker.engine.preset import TransformerDims

TOP_NAMES = {
    "time_embedding.0": "condition_embedder.time_embedder.linear_1",
    "time_embedding.2": "condition_embedder.time_embedder.linear_2",
    "text_embedding.0": "condition_embedder.text_embedder.linear_1",
    "text_embedding.2": "condition_embedder.text_embedder.linear_2",
    "time_projection.1": "condition_embedder.time_proj",
    "head.head": "proj_out",
    "patch_embedding": "patch_embedding",
}
BLOCK_NAMES = {
    "norm3": "norm2",
    "ffn.0": "ffn.net.0.proj",
    "ffn.2": "ffn.net.2",
    **{
        f"{ours}.{part}": f"{theirs}.{name}"
        for ours, theirs in (("self_attn", "attn1"), ("cross_attn", "attn2"))
        for part, name in (
            ("q", "to_q"),
            ("k", "to_k"),
            ("v", "to_v"),
            ("o", "to_out.0"),
            ("norm_q", "norm_q"),
            ("norm_k", "norm_k"),
        )
    },
}
_PREFIXES = ("model.diffusion_model.", "model.", "_fsdp_wrapped_module.")
"""Of what the transformer was wrapped in when it was saved, from the outermost on."""


def build_transformer(dims: TransformerDims) -> WanTransformer3DModel:
    """A transformer on the meta device: shapes without memory."""
    build: Any = WanTransformer3DModel
    with torch.device("meta"):
        model: WanTransformer3DModel = build(**dims.config())
    return model


def load_transformer(
    source: Path | Iterable[Path] | Mapping[str, Tensor],
    dims: TransformerDims,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
    sections: Sequence[str] = (),
    change: Change | None = None,
) -> WanTransformer3DModel:
    """Build a transformer from a weight file, several shards of one, or named tensors.

    Files are mapped and tensors placed one by one, so that no second copy is held.

    Args:
        sections: which part of a training checkpoint to read, as for `read_tensors`.
        change: what is made of each tensor before it is cast, as for `assign`.

    Raises:
        CheckpointError: a file is unreadable, or a name or shape doesn't fit `dims`; it says
            which file, name and shape.
    """
    if isinstance(source, Mapping):
        label, tensors = "the given transformer tensors", dict(source)
    else:
        paths = [source] if isinstance(source, Path) else list(source)
        label = ", ".join(str(path) for path in paths)
        read = [read_tensors(path, sections=sections) for path in paths]
        tensors = {name: value for part in read for name, value in part.items()}
    model: Any = build_transformer(dims)
    renamed = {diffusers_name(name, label): value for name, value in tensors.items()}
    assign(model, renamed, source=label, device=torch.device(device), dtype=dtype, change=change)
    # The streaming forward has tables of its own; these are diffusers', computed, not stored.
    model.rope = type(model.rope)(dims.head_dim, model.config.patch_size, 1024).to(device)
    transformer: WanTransformer3DModel = model
    return transformer


def diffusers_name(name: str, label: str = "the weights") -> str:
    """One published name in diffusers' words; names that are diffusers' already stay.

    Raises:
        CheckpointError: no Wan transformer has such a name.
    """
    stem = name
    for prefix in _PREFIXES:
        stem = stem.removeprefix(prefix)
    if _is_diffusers(stem):
        return stem
    if stem == "head.modulation":
        return "scale_shift_table"
    in_block = re.fullmatch(r"blocks\.(\d+)\.(.+)", stem)
    if in_block is not None and in_block[2] == "modulation":
        return f"blocks.{in_block[1]}.scale_shift_table"
    rest, _, leaf = (in_block[2] if in_block else stem).rpartition(".")
    known = BLOCK_NAMES if in_block else TOP_NAMES
    if rest not in known:
        raise CheckpointError(f"{label}: {name} is not a name of a Wan2.1 transformer")
    return f"blocks.{in_block[1]}.{known[rest]}.{leaf}" if in_block else f"{known[rest]}.{leaf}"


def _is_diffusers(stem: str) -> bool:
    return (
        stem.startswith(("condition_embedder.", "proj_out."))
        or stem == "scale_shift_table"
        or re.match(r"blocks\.\d+\.(attn[12]|ffn\.net|norm2|scale_shift_table)", stem) is not None
    )
