"""What a job is: a clip, made as for a caller who waits, but with all the patience there is."""

from __future__ import annotations

import asyncio
from pathlib import Path

from framewire.worker.clips.failures import failures_named
from framewire.worker.clips.maker import ClipMaker
from framewire.worker.clips.progress import Tell
from framewire.worker.clips.store import ClipStore
from framewire.worker.runtime.worker import Worker
from framewire.worker.server.clips.errors import clip_errors_as_http
from framewire.worker.server.clips.kept import KeptClip, kept_clip
from framewire.worker.server.clips.parsing import parsed


class JobMaker:
    """Makes the clips of jobs."""

    def __init__(self, worker: Worker, maker: ClipMaker, clips: ClipStore) -> None:
        self._worker = worker
        self._maker = maker
        self._clips = clips

    async def check(self, endpoint: str, body: Path) -> None:
        """Judge a body before its job waits.

        Raises:
            HTTPException: it will never be a clip.
        """
        await parsed(self._worker, endpoint, await asyncio.to_thread(body.read_bytes))

    async def make(self, endpoint: str, body: Path, tell: Tell) -> KeptClip:
        """Wait for a place and make the clip.

        Raises:
            HTTPException: as a caller who waits would be told.
        """
        with clip_errors_as_http(), failures_named():
            wanted = await parsed(self._worker, endpoint, await asyncio.to_thread(body.read_bytes))
            return await kept_clip(
                self._clips,
                lambda path: self._maker.make(wanted, path, _never, tell, patience=None),
                lasting=True,
            )


async def _never() -> bool:
    """Nobody who could leave waits for it."""
    return False
