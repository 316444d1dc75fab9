"""What the engine's bench can measure: speed options by name, alone, one upon the other, together.

Loads no torch, so that the command line can name them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from framewire.worker.engine.options import EngineOptions
from framewire.worker.models.setup import SpeedName

OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "skip-zero": {"skip_zero": True},
    "taehv": {"decoder": "taehv"},
    "attention": {"attention": "auto"},
    "fuse-qkv": {"fuse_qkv": True},
    "tune-convolutions": {"tune_convolutions": True},
    "compile": {"compile": True},
    "cuda-graph": {"cuda_graph": True},
    "fp8": {"fp8": True, "compile": True},
    "context-every-2": {"context_every": 2},
}
"""What each sets of the engine's options. In eager mode an fp8 product is nine kernels, so that it
is measured compiled only."""
FAITHFUL: Final = "faithful"
TOGETHER: Final = "together"


@dataclass(frozen=True, slots=True)
class Variant:
    """One line of the bench: the options of `names`, all at once.

    Attributes:
        speed: with what this adds, as a worker finds it.
    """

    label: str
    names: tuple[str, ...] = ()
    speed: SpeedName = "faithful"

    def options(self, base: EngineOptions, missing: Sequence[str] = ()) -> EngineOptions:
        """`base` with them set, but for those that are `missing` here.

        Raises:
            KeyError: a name is none of `OPTIONS`.
        """
        changes: dict[str, Any] = {}
        for name in self.names:
            if name not in missing:
                changes |= OPTIONS[name]
        return replace(base, **changes)


def variants(
    names: Sequence[str], *, ladder: bool = False, speeds: Sequence[SpeedName] = ()
) -> list[Variant]:
    """Without options, with each of `names` alone, with all, where it is more than one, and speeds.

    Args:
        ladder: instead of each alone, each on top of those before it.
        speeds: each a line at the end.
    """
    found = [Variant(FAITHFUL)]
    if ladder:
        steps = [tuple(names[: count + 1]) for count in range(len(names))]
        found += [Variant("+".join(step), step) for step in steps]
    else:
        found += [Variant(name, (name,)) for name in names]
        found += [Variant(TOGETHER, tuple(names))] if len(names) > 1 else []
    return found + [Variant(speed, speed=speed) for speed in speeds]
