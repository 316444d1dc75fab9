"""A clip from its being made to its being kept, with nothing left behind where that fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from framewire.worker.clips.maker import MadeClip
from framewire.worker.clips.store import ClipStore


@dataclass(frozen=True, slots=True)
class KeptClip:
    """A clip in the store, by its name there."""

    name: str
    size: int
    seed: int
    warnings: tuple[str, ...]


async def kept_clip(
    clips: ClipStore, make: Callable[[Path], Awaitable[MadeClip]], *, lasting: bool = False
) -> KeptClip:
    """Have a clip made at a path of the store, and keep it.

    Args:
        lasting: also when the store is closed.
    """
    path = clips.new_path()
    try:
        made = await make(path)
        size = path.stat().st_size
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return KeptClip(clips.keep(path, lasting=lasting), size, made.seed, made.warnings)
