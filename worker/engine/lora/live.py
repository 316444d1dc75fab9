"""Adapters that stay beside the weights, each as strong as a stream asks for, block by block.

Owns which branch goes beside which layer. Every repeated block gets the same ones, empty where an
adapter leaves a layer alone, so that one compiled block still serves all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from diffusers import WanTransformer3DModel
from torch import Tensor, nn

from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.network.branch import Branch, Strengths

from .adapter import Adapter, Pair

_TEXT = re.compile(r"condition_embedder\.text_embedder\..+|blocks\.\d+\.attn2\.to_[kv]")
_IN_BLOCK = re.compile(r"blocks\.(\d+)\.(.+)")
_FUSED = tuple(f"attn1.to_{part}" for part in "qkv")
_FUSED_NAME = "attn1.to_qkv"


def check_live(adapter: Adapter) -> None:
    """Refuse an adapter that changes more than linear layers of blocks and text.

    Raises:
        CheckpointError: says what else it changes.
    """
    layers = [name for name in adapter.pairs if not (_IN_BLOCK.match(name) or _TEXT.match(name))]
    others = [*layers, *adapter.whole]
    if others:
        raise CheckpointError(
            f"{adapter.source}: changes {others[0]}, which no live adapter can: serve it merged, "
            "without --lora-live"
        )


def attach(model: WanTransformer3DModel, adapters: Sequence[tuple[Adapter, float]]) -> Strengths:
    """Put branches beside a loaded model's layers; after these are fused, before they are quantised.

    Args:
        adapters: each with the strength that it has where a stream says nothing.

    Raises:
        CheckpointError: one changes what no live adapter can.
    """
    for adapter, _ in adapters:
        check_live(adapter)
    pairs = [adapter.pairs for adapter, _ in adapters]
    network = cast(Any, model)
    like: Tensor = network.patch_embedding.weight
    strengths = Strengths(
        [adapter.name for adapter, _ in adapters],
        [strength for _, strength in adapters],
        like.device,
        like.dtype,
        touch_text=any(_TEXT.match(layer) for one in pairs for layer in one),
    )
    places = [match for one in pairs for layer in one if (match := _IN_BLOCK.match(layer))]
    in_blocks = {place[2] for place in places}
    for index, block in enumerate(network.blocks):
        fused = block.attn1.fused_projections and not in_blocks.isdisjoint(_FUSED)
        apart = sorted(in_blocks.difference(_FUSED) if fused else in_blocks)
        sources: list[tuple[str, tuple[str, ...]]] = [(layer, (layer,)) for layer in apart]
        if fused:
            sources.append((_FUSED_NAME, _FUSED))
        for layer, parts in sources:
            wanted = [
                [
                    (one.get(f"blocks.{index}.{part}"), _rank(one, part, len(network.blocks)))
                    for one in pairs
                ]
                for part in parts
            ]
            _put(block, layer, wanted, strengths, like)
    for layer in sorted({name for one in pairs for name in one if not _IN_BLOCK.match(name)}):
        alone = [(one.get(layer), one[layer].rank if layer in one else 0) for one in pairs]
        _put(network, layer, [alone], strengths, like)
    return strengths


def _rank(pairs: Mapping[str, Pair], layer: str, blocks: int) -> int:
    """The most that an adapter has beside a layer in any block."""
    names = [f"blocks.{index}.{layer}" for index in range(blocks)]
    return max((pairs[name].rank for name in names if name in pairs), default=0)


def _put(
    owner: Any,
    layer: str,
    parts: Sequence[Sequence[tuple[Pair | None, int]]],
    strengths: Strengths,
    like: Tensor,
) -> None:
    """Put a branch beside one layer.

    Args:
        parts: for each of the fused layers, for each adapter, its pair and the rank to fill.
    """
    above, _, leaf = layer.rpartition(".")
    holder = owner.get_submodule(above)
    base: nn.Linear = getattr(holder, leaf)
    outputs = base.out_features // len(parts)
    downs, ups, owners = [], [], []
    for part in parts:
        up = [torch.zeros(outputs, 0)]
        for index, (pair, rank) in enumerate(part):
            filled = torch.zeros(rank, base.in_features), torch.zeros(outputs, rank)
            if pair is not None:
                filled[0][: pair.rank] = pair.down
                filled[1][:, : pair.rank] = pair.up.float() * pair.gain
            downs.append(filled[0])
            up.append(filled[1])
            owners += [index] * rank
        ups.append(torch.cat(up, dim=1).to(like))
    down = torch.cat(downs).to(like)
    setattr(holder, leaf, Branch(base, down, ups, strengths.gains(tuple(owners))))
