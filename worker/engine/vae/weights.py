"""Building the Wan2.1 VAE from published weights, under either of their two naming schemes.

The original names (`encoder.downsamples.3.residual.2.weight`) become diffusers'.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

import torch
from diffusers import AutoencoderKLWan
from torch import Tensor

from framewire.worker.engine.checkpoint import CheckpointError, assign, read_tensors

_TOP = {"conv1": "quant_conv", "conv2": "post_quant_conv"}
_HALF = {"conv1": "conv_in", "head.0": "norm_out", "head.2": "conv_out"}
_RESIDUAL = {
    "residual.0": "norm1",
    "residual.2": "conv1",
    "residual.3": "norm2",
    "residual.6": "conv2",
    "shortcut": "conv_shortcut",
}
_MIDDLE = {"0": "resnets.0", "1": "attentions.0", "2": "resnets.1"}
_LEVEL = 4
"""Layers of one level of the decoder, which the original counts through: the last upsamples."""


def load_vae(
    source: Path | Mapping[str, Tensor],
    config: Mapping[str, Any] | None = None,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> AutoencoderKLWan:
    """Build a VAE from a weight file or its tensors, with original Wan or diffusers names.

    Nothing is held twice: the network is built on the meta device and takes the tensors over.

    Args:
        source: a `.safetensors` or `.pth` file, or named tensors.
        config: arguments of `AutoencoderKLWan` that differ from its defaults, which are Wan2.1's.

    Raises:
        CheckpointError: the file is unreadable, or a name or shape doesn't fit the configuration.
    """
    label = str(source) if isinstance(source, Path) else "the given VAE tensors"
    tensors = read_tensors(source) if isinstance(source, Path) else source
    with torch.device("meta"):
        vae = cast(Any, AutoencoderKLWan)(**(config or {}))  # diffusers' own types are partial
    if any(".residual." in name for name in tensors):
        tensors = {_diffusers_name(name, label): value for name, value in tensors.items()}
    assign(vae, tensors, source=label, device=torch.device(device), dtype=dtype)
    return cast(AutoencoderKLWan, vae)


def _diffusers_name(name: str, label: str) -> str:
    """One original name in diffusers' words."""
    path, _, leaf = name.rpartition(".")
    if path in _TOP:
        return f"{_TOP[path]}.{leaf}"
    half, _, rest = path.partition(".")
    if rest in _HALF:
        return f"{half}.{_HALF[rest]}.{leaf}"
    section, _, rest = rest.partition(".")
    index, _, layer = rest.partition(".")
    layer = _RESIDUAL.get(layer, layer)
    if section == "middle" and index in _MIDDLE:
        return f"{half}.mid_block.{_MIDDLE[index]}.{layer}.{leaf}"
    if section == "downsamples" and index.isdecimal():
        return f"{half}.down_blocks.{index}.{layer}.{leaf}"
    if section == "upsamples" and index.isdecimal():
        level, step = divmod(int(index), _LEVEL)
        place = f"resnets.{step}" if step < _LEVEL - 1 else "upsamplers.0"
        return f"{half}.up_blocks.{level}.{place}.{layer}.{leaf}"
    raise CheckpointError(f"{label}: {name} is not a name of the Wan2.1 VAE")
