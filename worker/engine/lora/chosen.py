"""Which adapters an engine is to have, and how strong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from framewire.worker.engine.preset import TransformerDims

from .adapter import Adapter, read_adapter


@dataclass(frozen=True)
class ChosenAdapter:
    """One file.

    Attributes:
        strength: 1 is what it was trained for; of a live one the usual, which streams can change.
    """

    path: Path
    name: str
    strength: float = 1.0


def read_chosen(
    chosen: Sequence[ChosenAdapter], dims: TransformerDims
) -> list[tuple[Adapter, float]]:
    """Read them all, each with its strength.

    Raises:
        CheckpointError: a file cannot be used; says which, and why.
    """
    return [(read_adapter(one.path, dims, one.name), one.strength) for one in chosen]
