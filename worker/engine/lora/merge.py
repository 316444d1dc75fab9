"""Adapters that become part of the weights: no more work in a pass, and no way back.

Each weight is changed alone, in float32, before it is cast, fused or quantised, so that no more than
one is held twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from .adapter import Adapter


class Merge:
    """What some adapters, each with its strength, make of a transformer's weights."""

    def __init__(self, adapters: Sequence[tuple[Adapter, float]]) -> None:
        self._adapters = tuple(adapters)

    def touches(self, name: str) -> bool:
        """Whether the parameter of this name, in diffusers' words, is changed."""
        layer = name.removesuffix(".weight")
        return any(layer in one.pairs or name in one.whole for one, _ in self._adapters)

    def __call__(self, name: str, value: Tensor) -> Tensor:
        """One parameter with all changes, float32 on its device; itself where there is none."""
        if not self.touches(name):
            return value
        changed = value.float().flatten(1) if value.ndim > 2 else value.float().clone()
        layer = name.removesuffix(".weight")
        for adapter, strength in self._adapters:
            pair, whole = adapter.pairs.get(layer), adapter.whole.get(name)
            if pair is not None and name.endswith(".weight"):
                up, down = (part.to(value.device, torch.float32) for part in (pair.up, pair.down))
                changed = torch.addmm(changed, up, down, alpha=strength * pair.gain)
            if whole is not None:
                added = whole.to(value.device, torch.float32).view_as(changed)
                changed = changed.add_(added, alpha=strength)
        return changed.view(value.shape)

    @torch.no_grad()
    def into(self, model: WanTransformer3DModel) -> None:
        """Change a loaded model's weights in place."""
        for name, parameter in cast(nn.Module, model).named_parameters():
            if self.touches(name):
                parameter.copy_(self(name, parameter))
