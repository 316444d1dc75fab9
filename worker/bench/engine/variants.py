"""What the engine's bench can measure: speed options by name, each alone and all together.

Loads no torch, so that the command line can name them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from framewire.worker.engine.options import EngineOptions

OPTIONS: Final[Mapping[str, Mapping[str, Any]]] = {
    "skip-zero": {"skip_zero": True},
    "taehv": {"decoder": "taehv"},
    "attention": {"attention": "auto"},
    "fuse-qkv": {"fuse_qkv": True},
    "compile": {"compile": True},
    "cuda-graph": {"cuda_graph": True},
    "fp8": {"fp8": True},
    "context-every-2": {"context_every": 2},
}
"""What each sets of the engine's options."""
FAITHFUL: Final = "faithful"
TOGETHER: Final = "together"


def variants(names: Sequence[str], options: EngineOptions) -> list[tuple[str, EngineOptions]]:
    """`options` as they are, with each of `names` alone, and with all, where it is more than one.

    Raises:
        KeyError: a name is none of `OPTIONS`.
    """
    found = [(FAITHFUL, options)]
    found += [(name, replace(options, **OPTIONS[name])) for name in names]
    if len(names) > 1:
        together: dict[str, Any] = {}
        for name in names:
            together |= OPTIONS[name]
        found.append((TOGETHER, replace(options, **together)))
    return found
