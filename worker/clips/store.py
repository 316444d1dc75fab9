"""Finished clips on disk: each under a name that cannot be guessed, for a while, and not too many.

The oldest make room for new ones. Of what an earlier worker has left, the next keeps what a job
names, and removes the rest. Knows files and time; knows no request.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

MOST_CLIPS = 1024
_NAME_BYTES = 24


@dataclass(frozen=True, slots=True)
class _Kept:
    path: Path
    size: int
    expiry: asyncio.TimerHandle
    lasting: bool


class ClipStore:
    """A folder of clips, which has them all. Made and used on one event loop.

    Args:
        folder: nobody else's; made where it is not there.
        life: seconds that a clip is kept.
        most_bytes: bytes of all clips together; a larger one is kept alone.
        worker: the name that theirs begin with.
    """

    def __init__(self, folder: Path, life: float, most_bytes: int, worker: str) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._life = life
        self._most_bytes = most_bytes
        self._worker = worker
        self._kept: dict[str, _Kept] = {}

    def restore(self, lives: Mapping[str, float]) -> None:
        """Keep what an earlier process has left: these clips, for so many seconds, and no others."""
        for path in self._folder.iterdir():
            if lives.get(path.name, 0.0) <= 0:
                path.unlink()
        for name, seconds in lives.items():
            path = self._folder / name
            if path.is_file():
                self._keep(path, seconds, lasting=True)

    def new_path(self) -> Path:
        """Where a clip may be written; `keep` it afterwards, or delete it."""
        return self._folder / f"{self._worker}-{secrets.token_hex(_NAME_BYTES)}.mp4"

    def keep(self, path: Path, *, lasting: bool = False) -> str:
        """Keep a finished clip; returns the name that it can be had under.

        Args:
            lasting: it stays where it is when the store is closed, for `restore`.
        """
        return self._keep(path, self._life, lasting)

    def find(self, name: str) -> Path | None:
        """The clip of this name; None where there is none, or none any more."""
        kept = self._kept.get(name)
        return kept.path if kept else None

    @property
    def bytes_kept(self) -> int:
        """Bytes of all clips that are kept."""
        return sum(kept.size for kept in self._kept.values())

    def close(self) -> None:
        """Delete everything that does not last."""
        for name, kept in list(self._kept.items()):
            kept.expiry.cancel()
            if not kept.lasting:
                self._drop(name)
        self._kept.clear()

    def _keep(self, path: Path, seconds: float, lasting: bool) -> str:
        size = path.stat().st_size
        while self._kept and (
            len(self._kept) >= MOST_CLIPS or self.bytes_kept + size > self._most_bytes
        ):
            self._drop(next(iter(self._kept)))
        expiry = asyncio.get_running_loop().call_later(seconds, self._drop, path.name)
        self._kept[path.name] = _Kept(path, size, expiry, lasting)
        return path.name

    def _drop(self, name: str) -> None:
        kept = self._kept.pop(name)
        kept.expiry.cancel()
        kept.path.unlink(missing_ok=True)
