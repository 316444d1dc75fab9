"""How far apart two ways are is measured on real streams of each loop, also where one is broken."""

import math
from collections.abc import Callable

import pytest
import torch
from torch import nn

from framewire.worker.backends.speed.child import Trial, small
from framewire.worker.backends.speed.parts import EIGHT_BITS, ROUNDING, bound, plain
from framewire.worker.backends.speed.proof import Subject
from framewire.worker.engine.network.speed import SpeedError
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import KREA_REALTIME_14B, Preset
from framewire.worker.engine.random_weights import (
    TINY_RANDOM,
    TINY_SELF_FORCING,
    TINY_STREAMDIFFUSIONV2,
)
from framewire.worker.engine.tiny.model import TINY

FUSED = EngineOptions(fuse_qkv=True)


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    torch.set_num_threads(1)


def trial(preset: Preset = TINY_RANDOM) -> Trial:
    return Trial(Subject(preset, "cpu", "float32", "float32", 1))


@pytest.mark.parametrize("preset", [TINY, TINY_RANDOM, TINY_SELF_FORCING, TINY_STREAMDIFFUSIONV2])
def test_what_is_equal_but_for_rounding_is_within_its_bound(preset: Preset) -> None:
    assert trial(preset).error(FUSED) <= bound(FUSED, "float32")


@pytest.mark.parametrize("options", [EngineOptions(skip_zero=True), EngineOptions(decoder="taehv")])
def test_a_departure_is_compared_with_itself_made_the_plain_way(options: EngineOptions) -> None:
    assert plain(options) == options
    assert trial().error(options) == 0


def scaled(layer: nn.Linear) -> None:
    layer.weight.data.mul_(1.05)


def emptied(layer: nn.Linear) -> None:
    layer.weight.data.fill_(math.nan)


@pytest.mark.parametrize("broken", [scaled, emptied])
def test_projections_that_are_fused_wrongly_are_out_of_bounds(
    broken: Callable[[nn.Linear], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also by a little, and where nothing is a number any more."""
    from framewire.worker.engine import build

    right = build.fuse_qkv

    def wrong(model: object) -> None:
        right(model)  # type: ignore[arg-type]
        broken(model.blocks[0].attn1.to_qkv)  # type: ignore[attr-defined]

    monkeypatch.setattr(build, "fuse_qkv", wrong)
    error = trial().error(FUSED)
    assert not error <= bound(FUSED, "float32")
    assert (error == math.inf) is (broken is emptied)


def test_pictures_are_compared_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """A decoder that is off alone, with latents as they should be."""
    from framewire.worker.engine.vae.streaming import StreamingVae

    one = trial()
    assert one.error(EngineOptions()) == 0
    right = StreamingVae.decode
    monkeypatch.setattr(StreamingVae, "decode", lambda *given: right(*given) * 1.1)
    assert 0.09 < one.error(EngineOptions()) < 0.2


def test_what_cannot_be_had_raises_what_is_missing() -> None:
    with pytest.raises(SpeedError, match="CUDA device"):
        trial().error(EngineOptions(cuda_graph=True))


def test_bounds_are_those_of_the_arithmetic() -> None:
    assert bound(EngineOptions(compile=True), "float32") == ROUNDING["float32"]
    assert bound(EngineOptions(compile=True), "bfloat16") == ROUNDING["bfloat16"]
    assert bound(EngineOptions(fp8=True, compile=True), "bfloat16") == EIGHT_BITS


def test_the_largest_model_is_tried_with_two_layers_of_its_own_widths() -> None:
    tried = small(KREA_REALTIME_14B)
    assert (tried.dims.layers, tried.width, tried.height) == (2, 128, 128)
    assert tried.dims.dim == KREA_REALTIME_14B.dims.dim
    assert small(TINY) == TINY
