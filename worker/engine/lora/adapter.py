"""One adapter as read from a file: checked to be whole, finite, and made for this model.

What is done with it is `merge`'s and `live`'s.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor, nn

from framewire.worker.engine.checkpoint import CheckpointError, read_tensors
from framewire.worker.engine.network.weights import build_transformer
from framewire.worker.engine.preset import TransformerDims

from .alpha import said_alpha
from .names import understood

_MOST_CHANGE = 65504.0
"""Of a weight, by any adapter: what float16 still holds."""


@dataclass(frozen=True)
class Pair:
    """A low-rank change of a layer's weight: gain * up @ down.

    Attributes:
        down: [rank, inputs]; of a convolution its kernel is flattened. `up`: [outputs, rank].
        gain: alpha / rank.
    """

    down: Tensor
    up: Tensor
    gain: float

    @property
    def rank(self) -> int:
        """How many directions it has."""
        return self.down.shape[0]


@dataclass(frozen=True)
class Adapter:
    """A change of a transformer's weights.

    Attributes:
        source: what it was read from, for errors.
        pairs: by layer, in diffusers' words.
        whole: what is added to parameters as it is, by the parameter's name.
    """

    name: str
    source: str
    pairs: Mapping[str, Pair]
    whole: Mapping[str, Tensor]

    @property
    def rank(self) -> int:
        """The largest of its pairs."""
        return max((pair.rank for pair in self.pairs.values()), default=0)


def read_adapter(path: Path, dims: TransformerDims, name: str = "") -> Adapter:
    """Read an adapter of a transformer of `dims` from a safetensors file.

    Alpha is read from the file's tensors, from the metadata that diffusers writes, or from PEFT's
    `adapter_config.json` beside it; where none of them says, it is the rank.

    Args:
        name: else the file's, without its ending.

    Raises:
        CheckpointError: the file is missing, damaged, no safetensors file, not finite, or made for
            another model; says in one line what doesn't fit.
    """
    if path.suffix != ".safetensors":
        raise CheckpointError(
            f"{path}: adapters are read from .safetensors files only, since others can hold code"
        )
    return adapter_of(
        read_tensors(path), dims, source=str(path), name=name or path.stem, alpha=said_alpha(path)
    )


def adapter_of(
    tensors: Mapping[str, Tensor],
    dims: TransformerDims,
    *,
    source: str,
    name: str = "adapter",
    alpha: float | None = None,
) -> Adapter:
    """An adapter of named tensors, in any of the known styles.

    Args:
        alpha: of pairs that have none of their own; None is each one's rank.

    Raises:
        CheckpointError: as for `read_adapter`.
    """
    parts: dict[str, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        layer, part = understood(key, source)
        if part in parts.setdefault(layer, {}):
            raise CheckpointError(f"{source}: has {part} of {layer} twice")
        _check_numbers(key, value, source, whole_too=part == "alpha")
        parts[layer][part] = value
    if not parts:
        raise CheckpointError(f"{source}: holds no tensors")
    shapes = _shapes(dims)
    pairs: dict[str, Pair] = {}
    whole: dict[str, Tensor] = {}
    for layer, found in parts.items():
        if "down" in found or "up" in found or "alpha" in found:
            pairs[layer] = _pair(layer, found, shapes, source, alpha)
        for part in ("weight", "bias"):
            if part in found:
                parameter = layer if layer in shapes else f"{layer}.{part}"
                _check(found[part].shape, shapes.get(parameter), parameter, source)
                whole[parameter] = found[part]
    return Adapter(name, source, pairs, whole)


def _check_numbers(key: str, value: Tensor, source: str, *, whole_too: bool) -> None:
    """Refuse what holds no finite numbers; in float32, since of float8 torch cannot say."""
    kind = str(value.dtype).removeprefix("torch.")
    if value.is_complex() or not (whole_too or value.is_floating_point()):
        raise CheckpointError(f"{source}: {key} is of {kind}; only floats can be read")
    try:
        finite = bool(torch.isfinite(value.float()).all())
    except NotImplementedError:
        raise CheckpointError(
            f"{source}: {key} is of {kind}; no numbers can be read from it"
        ) from None
    if not finite:
        raise CheckpointError(f"{source}: {key} has values that are not finite")


def _pair(
    layer: str,
    found: Mapping[str, Tensor],
    shapes: Mapping[str, torch.Size],
    source: str,
    alpha: float | None,
) -> Pair:
    missing = [part for part in ("down", "up") if part not in found]
    if missing:
        raise CheckpointError(f"{source}: {layer} has no {' and no '.join(missing)} matrix")
    down, up = found["down"], found["up"]
    if down.ndim < 2 or up.ndim < 2:
        raise CheckpointError(f"{source}: {layer} has no two matrices")
    down, up = down.flatten(1), up.flatten(1)
    rank = down.shape[0]
    if up.shape[1] != rank or not rank:
        raise CheckpointError(
            f"{source}: {layer} has rank {rank} on one side and {up.shape[1]} on the other"
        )
    weight = shapes.get(f"{layer}.weight")
    made_for = torch.Size((up.shape[0], down.shape[1]))
    needs = None if weight is None else torch.Size((weight[0], weight[1:].numel()))
    _check(made_for, needs, layer, source)
    own = found.get("alpha")
    if own is not None and own.numel() != 1:
        raise CheckpointError(f"{source}: {layer} has an alpha of {own.numel()} numbers")
    scaled_by = float(own) if own is not None else alpha
    gain = 1.0 if scaled_by is None else scaled_by / rank
    most = rank * abs(gain) * float(down.float().abs().max()) * float(up.float().abs().max())
    if not most <= _MOST_CHANGE:  # nor where it is no number
        raise CheckpointError(
            f"{source}: {layer} is changed by up to {most:.3g}, with an alpha of "
            f"{gain * rank:.3g}: no weights are so large, so it is damaged"
        )
    return Pair(down, up, gain)


def _check(found: Sequence[int], needed: Sequence[int] | None, layer: str, source: str) -> None:
    if needed is None:
        raise CheckpointError(
            f"{source}: changes {layer}, which this model does not have: "
            "it is an adapter of another (larger) model"
        )
    if tuple(found) != tuple(needed):
        raise CheckpointError(
            f"{source}: {layer} is changed as one of {'x'.join(map(str, found))}, but this model "
            f"has {'x'.join(map(str, needed))} there: it is an adapter of another model"
        )


def _shapes(dims: TransformerDims) -> dict[str, torch.Size]:
    """Of every parameter of a transformer, by name."""
    model = cast(nn.Module, build_transformer(dims))
    return {name: value.shape for name, value in model.named_parameters()}
