"""What each speed is made of, as data: changes of the engine's options, and what they cost.

Loads no torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import Preset
from framewire.worker.models.setup import ModelSetup, SpeedName

ROUNDING: Final = {"float32": 1e-3, "bfloat16": 2e-2, "float16": 2e-2}
"""Relative error, by the transformer's dtype, up to which results are equal but for rounding."""
EIGHT_BITS: Final = 8e-2
"""The same where products are of 8 bits. Two layers of a random model, in which bfloat16 is off
from float32 by 0.8 %, are off by 2.2 % with them (simulated)."""
_QUANTISED_ATTENTION: Final = ("sage",)


@dataclass(frozen=True, slots=True)
class Part:
    """One of the things that a speed does.

    Attributes:
        name: as the bench calls it.
        options: what it sets of the engine's.
        costs: what it does to the picture; empty where that is rounding.
    """

    name: str
    options: Mapping[str, Any]
    costs: str = ""


ATTENTION: Final = "attention"
_DEPARTURES: Final = (
    Part(
        "skip-zero",
        {"skip_zero": True},
        "the pass at timestep 0 is left out: pictures differ by some 0.5 % of its flow",
    ),
    Part("taehv", {"decoder": "taehv"}, "TAEHV decodes: pictures are softer"),
)
_ROUNDING_ONLY: Final = (
    Part("fuse-qkv", {"fuse_qkv": True}),
    Part("tune-convolutions", {"tune_convolutions": True}),
    Part("compile", {"compile": True}),
    Part("cuda-graph", {"cuda_graph": True}),
)
_FP8: Final = Part("fp8", {"fp8": True}, "products in 8 bits: pictures differ by their rounding")


def parts_of(speed: SpeedName, kernels: Sequence[str]) -> Iterator[Part]:
    """The parts in the order in which each is put on top of those before it.

    Args:
        kernels: of attention, the one to prefer first; the first that proves itself is taken.
    """
    if speed == "faithful":
        return
    if speed == "max":
        yield from _DEPARTURES
    for kernel in kernels:
        yield Part(f"{ATTENTION}-{kernel}", {"attention": kernel})
    yield from _ROUNDING_ONLY
    if speed == "max":
        yield _FP8


def plain(options: EngineOptions) -> EngineOptions:
    """The options without what only makes the same faster: what this is compared with."""
    usual = EngineOptions()
    names = ["attention", *(name for part in (*_ROUNDING_ONLY, _FP8) for name in part.options)]
    return replace(options, **{name: getattr(usual, name) for name in names})


def bound(options: EngineOptions, dtype: str) -> float:
    """The relative error that a stream of these options may have against the `plain` one."""
    if options.fp8 or options.attention in _QUANTISED_ATTENTION:
        return EIGHT_BITS
    return ROUNDING[dtype]


def shorter_context(preset: Preset, setup: ModelSetup) -> int:
    """The context frames that a speed gives a model; 0 where it leaves them as they are.

    Of the sizes of a model the second largest: each shorter one forgets more.
    """
    if setup.speed != "max" or setup.context or len(preset.contexts) < 2:
        return 0
    shorter = preset.contexts[-2]
    return shorter if shorter <= preset.context_frames else 0


def served_preset(preset: Preset, setup: ModelSetup) -> Preset:
    """The preset with the context that a setup means.

    Raises:
        ValueError: it cannot be served with that.
    """
    return preset.with_context(setup.context or shorter_context(preset, setup))


@dataclass(frozen=True, slots=True)
class Resolved:
    """What came of a speed on this machine.

    Attributes:
        asked: the speed.
        options: what the engine is built with.
        parts: names of what it does, but for what was set by hand.
        left_out: why, of each part that it doesn't.
        costs: of each part that changes the picture, how.
    """

    asked: SpeedName
    options: EngineOptions
    parts: tuple[str, ...] = ()
    left_out: Mapping[str, str] = field(default_factory=dict)
    costs: Mapping[str, str] = field(default_factory=dict)

    def without_parts(self, options: EngineOptions, reason: str) -> Resolved:
        """The same with none of its parts, as they fail together."""
        left_out = {**self.left_out, **dict.fromkeys(self.parts, reason)}
        return Resolved(self.asked, options, left_out=left_out)

    def as_json(self) -> dict[str, Any]:
        """All but the options."""
        return {
            "asked": self.asked,
            "parts": list(self.parts),
            "left_out": dict(self.left_out),
            "costs": dict(self.costs),
        }
