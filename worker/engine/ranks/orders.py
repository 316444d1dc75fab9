"""What rank 0 tells the others to do: plain values, obeyed in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import torch

from framewire.worker.engine.network.transformer import Kind, Window
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import TransformerDims

Layout = tuple[tuple[int, ...], torch.dtype]
"""Shape and dtype of a tensor that follows an order."""


@dataclass(frozen=True, slots=True)
class Load:
    """Build a transformer of the weights that follow, and make it faster as `options` say.

    Attributes:
        names: of the weights, as in the model's state.
    """

    dims: TransformerDims
    names: tuple[str, ...]
    options: EngineOptions


@dataclass(frozen=True, slots=True)
class NewCache:
    """Make room for keys and values of own heads."""

    cache: int
    tokens: int
    batch: int


@dataclass(frozen=True, slots=True)
class NewTextCache:
    """Make room for one prompt."""

    text: int


@dataclass(frozen=True, slots=True)
class WriteText:
    """Fill a text cache from the embeds that follow."""

    text: int


@dataclass(frozen=True, slots=True)
class Pass:
    """Run the network on the tensors that follow: x, modulation, rotary table, slots.

    Attributes:
        first_row: of the cache is meant alone.
        has_rope: a rotary table follows; else it is that of the last pass.
        has_slots: slots follow.
    """

    kind: Kind
    cache: int
    first_row: bool
    text: int
    window: Window
    has_rope: bool
    has_slots: bool


@dataclass(frozen=True, slots=True)
class OnCache:
    """Call a method of a cache that gives nothing."""

    cache: int
    method: Literal["turn", "remember_first", "turn_first", "bring", "roll", "replicate", "fill"]
    args: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class GatherMeans:
    """Gather the means of the frames in the slots that follow."""

    cache: int
    frame_tokens: int


@dataclass(frozen=True, slots=True)
class GatherDigests:
    """Gather a digest of all that has come so far, to find a rank that got something else."""


Order = Load | NewCache | NewTextCache | WriteText | Pass | OnCache | GatherMeans | GatherDigests


@dataclass(frozen=True, slots=True)
class Told:
    """One order on its way.

    Attributes:
        layouts: of the tensors that follow it.
        forgotten: caches of either kind that are used no more.
    """

    order: Order
    layouts: tuple[Layout, ...]
    forgotten: tuple[int, ...]
