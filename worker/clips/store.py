"""Finished clips on disk: each under a name that cannot be guessed, for a while, and not too many.

The oldest make room for new ones, and what a worker that was killed has left is removed by the next.
Knows files and time; knows no request.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from pathlib import Path

from .held_folder import HeldFolder, remove_abandoned

MOST_CLIPS = 64
_PREFIX = "framewire-clips-"


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    size: int
    expiry: asyncio.TimerHandle


class ClipStore:
    """A temporary folder of clips. Made and used on one event loop.

    Args:
        life: seconds that a clip is kept.
        most_bytes: bytes of all clips together; a larger one is kept alone.
    """

    def __init__(self, life: float, most_bytes: int) -> None:
        self._life = life
        self._most_bytes = most_bytes
        remove_abandoned(_PREFIX)
        self._folder = HeldFolder(_PREFIX)
        self._kept: dict[str, _Kept] = {}

    def new_path(self) -> Path:
        """Where a clip may be written; `keep` or `discard` it afterwards."""
        return self._folder.path / f"{secrets.token_urlsafe(24)}.mp4"

    def keep(self, path: Path) -> str:
        """Keep a finished clip; returns the name that it can be had under."""
        size = path.stat().st_size
        while self._kept and (
            len(self._kept) >= MOST_CLIPS or self.bytes_kept + size > self._most_bytes
        ):
            self._drop(next(iter(self._kept)))
        expiry = asyncio.get_running_loop().call_later(self._life, self._drop, path.name)
        self._kept[path.name] = _Kept(path, size, expiry)
        return path.name

    def find(self, name: str) -> Path | None:
        """The clip of this name; None where there is none, or none any more."""
        kept = self._kept.get(name)
        return kept.path if kept else None

    @property
    def bytes_kept(self) -> int:
        """Bytes of all clips that are kept."""
        return sum(kept.size for kept in self._kept.values())

    def close(self) -> None:
        """Delete everything."""
        for kept in self._kept.values():
            kept.expiry.cancel()
        self._kept.clear()
        self._folder.remove()

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name)
        kept.expiry.cancel()
        kept.path.unlink(missing_ok=True)
