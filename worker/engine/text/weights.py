"""Building the UMT5 encoder from published weights: a folder of transformers', or Wan's own file.

Wan's names (`blocks.0.attn.q.weight`) become `UMT5EncoderModel`'s; the token embedding, which has
two names there, is loaded and held once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import UMT5Config, UMT5EncoderModel

from framewire.worker.engine.checkpoint import CheckpointError, assign, read_tensors

UMT5_XXL: Mapping[str, Any] = {
    "vocab_size": 256384,
    "d_model": 4096,
    "d_ff": 10240,
    "d_kv": 64,
    "num_heads": 64,
    "num_layers": 24,
}
"""The arguments of `UMT5Config` of Wan's text encoder that differ from its defaults."""

_SHARED = "shared.weight"
_EMBED = "encoder.embed_tokens.weight"
_TOP = {"token_embedding": "shared", "norm": "encoder.final_layer_norm"}
_BLOCK = {
    "norm1": "layer.0.layer_norm",
    "attn.q": "layer.0.SelfAttention.q",
    "attn.k": "layer.0.SelfAttention.k",
    "attn.v": "layer.0.SelfAttention.v",
    "attn.o": "layer.0.SelfAttention.o",
    "pos_embedding.embedding": "layer.0.SelfAttention.relative_attention_bias",
    "norm2": "layer.1.layer_norm",
    "ffn.gate.0": "layer.1.DenseReluDense.wi_0",
    "ffn.fc1": "layer.1.DenseReluDense.wi_1",
    "ffn.fc2": "layer.1.DenseReluDense.wo",
}


def transformers_name(name: str) -> str:
    """One of Wan's names in the words of `UMT5EncoderModel`.

    Raises:
        KeyError: it is none of Wan's names.
    """
    path, _, leaf = name.rpartition(".")
    if path in _TOP:
        return f"{_TOP[path]}.{leaf}"
    blocks, _, rest = path.partition(".")
    index, _, layer = rest.partition(".")
    if blocks != "blocks" or not index.isdecimal() or layer not in _BLOCK:
        raise KeyError(name)
    return f"encoder.block.{index}.{_BLOCK[layer]}.{leaf}"


def load_umt5(
    source: Path | Mapping[str, Tensor],
    config: Mapping[str, Any] = UMT5_XXL,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.bfloat16,
) -> UMT5EncoderModel:
    """Build the encoder from one weight file or its tensors, with Wan's or transformers' names.

    Args:
        source: a `.safetensors` or `.pth` file, or named tensors.
        config: arguments of `UMT5Config`.

    Raises:
        CheckpointError: the file is unreadable, or a name or shape doesn't fit the configuration.
    """
    label = str(source) if isinstance(source, Path) else "the given text encoder tensors"
    tensors = dict(read_tensors(source) if isinstance(source, Path) else source)
    if any(name.startswith("blocks.") for name in tensors):
        try:
            tensors = {transformers_name(name): value for name, value in tensors.items()}
        except KeyError as error:
            raise CheckpointError(f"{label}: {error} is no name of Wan's text encoder") from error
    embedding = tensors.get(_SHARED, tensors.get(_EMBED))
    if embedding is not None:
        # Cast once here: under two names it would be cast to two copies.
        tensors[_SHARED] = tensors[_EMBED] = embedding.to(device=device, dtype=dtype)
    with torch.device("meta"):
        model = UMT5EncoderModel(UMT5Config(**config))
    assign(model, tensors, source=label, device=torch.device(device), dtype=dtype)
    model.encoder.embed_tokens.weight = model.shared.weight
    return model


def from_folder(folder: Path, device: torch.device, dtype: torch.dtype) -> UMT5EncoderModel:
    """Load the encoder from a folder with `config.json` and weights, one file or in shards.

    Raises:
        CheckpointError: the folder isn't there or lacks a weight.
    """
    if not (folder / "config.json").is_file():
        raise CheckpointError(f"{folder}: no text encoder here, config.json is missing")
    # With the loading info the result is a pair, which transformers' own types don't say.
    load = cast(
        Callable[..., tuple[UMT5EncoderModel, dict[str, Any]]], UMT5EncoderModel.from_pretrained
    )
    model, loading = load(folder, dtype=dtype, local_files_only=True, output_loading_info=True)
    missing = set(loading["missing_keys"])
    # The embedding has two names, and files hold either; whichever was read is the one.
    if _SHARED in missing and _EMBED not in missing:
        model.shared.weight = model.encoder.embed_tokens.weight
    elif _SHARED not in missing:
        model.encoder.embed_tokens.weight = model.shared.weight
    if _SHARED not in missing or _EMBED not in missing:
        missing -= {_SHARED, _EMBED}
    if missing:
        raise CheckpointError(f"{folder}: lacks {', '.join(sorted(missing)[:5])}")
    cast(nn.Module, model).to(device)
    return model
