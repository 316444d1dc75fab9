"""Other programs measured in the same run as ours: any Python callable, and those that are ready.

A peer is a function of (preset, work, build) that returns the calls to time: its own, and the one
of ours that does the same work.
"""

from __future__ import annotations

import importlib
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, cast

import torch

from framewire.worker.engine.build import Build
from framewire.worker.engine.network.attention import block_group
from framewire.worker.engine.network.scratch import Scratch
from framewire.worker.engine.network.transformer import CausalTransformer, Window
from framewire.worker.engine.preset import LATENT_STRIDE, PIXEL_MULTIPLE, Preset
from framewire.worker.engine.random_weights import random_transformer

from .workload import Workload

_TIMES = 5


@dataclass(frozen=True, slots=True)
class Race:
    """Two calls of the same work.

    Attributes:
        what: the work, in words.
        theirs: once through it; `ours` likewise, None where there is nothing to compare with.
    """

    what: str
    theirs: Callable[[], Any]
    ours: Callable[[], Any] | None = None


Peer = Callable[[Preset, Workload, Build], Race]


def find_peer(name: str) -> Peer:
    """The peer called `name`: one that is ready, or `module:function`.

    Raises:
        ValueError: there is none.
    """
    if name in READY:
        return READY[name]
    module, _, attribute = name.partition(":")
    if not attribute:
        raise ValueError(f"no peer {name!r}: choose of {', '.join(READY)}, or name module:function")
    return cast(Peer, getattr(importlib.import_module(module), attribute))


def compare(peer: Peer, preset: Preset, work: Workload, build: Build) -> dict[str, Any]:
    """Time both sides, turn by turn, so that what else the machine does meets both."""
    race = peer(preset, work, build)
    sides = {"theirs_ms": race.theirs} | ({"ours_ms": race.ours} if race.ours else {})
    spent: dict[str, list[float]] = {name: [] for name in sides}
    for turn in range(_TIMES + 1):
        for name, call in sides.items():
            ms = _milliseconds(call, build.device)
            if turn:  # the first is for warming up
                spent[name].append(ms)
    medians = {name: round(statistics.median(values), 3) for name, values in spent.items()}
    row: dict[str, Any] = {"what": race.what, **medians}
    if race.ours is not None:
        row["ours_over_theirs"] = round(medians["ours_ms"] / medians["theirs_ms"], 4)
    return row


@torch.no_grad()
def _milliseconds(call: Callable[[], Any], device: torch.device) -> float:
    _wait(device)
    began = time.perf_counter()
    call()
    _wait(device)
    return 1000 * (time.perf_counter() - began)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def diffusers_forward(preset: Preset, work: Workload, build: Build) -> Race:
    """One pass over a block without context: diffusers' own forward, and ours on its weights."""
    dims, frames, device = preset.dims, preset.block_frames, build.device
    model: Any = random_transformer(dims, device=device, dtype=build.dtype)
    sides = (work.height // LATENT_STRIDE, work.width // LATENT_STRIDE)
    x = torch.randn(1, frames, dims.channels, *sides, device=device).to(build.dtype)
    embeds = torch.randn(dims.text_tokens, dims.text_dim, device=device).to(build.dtype)
    rows, columns = work.height // PIXEL_MULTIPLE, work.width // PIXEL_MULTIPLE
    tokens = rows * columns

    network = CausalTransformer(model)
    scratch = Scratch(dims, network)
    cache, text = scratch.cache(frames * tokens), scratch.text(embeds)
    rope = scratch.rope(frames, rows, columns).at(0, frames)
    window = Window(0, block_group(0, frames, tokens))
    modulation = network.modulation(torch.full((1, frames), 500.0))

    def theirs() -> Any:
        return model(
            hidden_states=x.transpose(1, 2),
            timestep=torch.tensor([500.0], device=device),
            encoder_hidden_states=embeds[None],
            return_dict=False,
        )

    def ours() -> Any:
        return network.forward(x, modulation, rope, cache, text, window)

    return Race(f"one pass of {frames} latent frames without context", theirs, ours)


READY: dict[str, Peer] = {"diffusers": diffusers_forward}
