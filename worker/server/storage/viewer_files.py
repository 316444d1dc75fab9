"""Uploads and recordings as sessions use them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from framewire.protocol import MAX_MESSAGE_BYTES
from framewire.worker.clips.upload import Upload, uploaded
from framewire.worker.clips.video import ExtraMissing, require_av

from .recordings import Recording, Recordings
from .store import UploadStore


class StoredFiles:
    """`ViewerFiles` of one worker.

    Args:
        video_limit: bytes that a video may have.
    """

    def __init__(self, uploads: UploadStore, recordings: Recordings, video_limit: int) -> None:
        self._uploads = uploads
        self._recordings = recordings
        self._video_limit = video_limit

    async def picture(self, name: str) -> bytes | None:
        """The bytes of the upload of this name; None where there is none, or none any more.

        Raises:
            ValueError: there are more than a message may have, which is how a picture comes else.
        """
        return await self._read(name, MAX_MESSAGE_BYTES)

    def has(self, name: str) -> bool:
        """Whether there is an upload of this name."""
        return self._uploads.find(name) is not None

    @asynccontextmanager
    async def video(self, name: str, width: int, height: int) -> AsyncIterator[Upload]:
        """The upload of this name, opened as a video.

        Raises:
            ValueError: it is not there, or no video that can be used.
        """
        try:
            require_av()
        except ExtraMissing as error:
            raise ValueError(str(error)) from error
        data = await self._read(name, self._video_limit)
        if data is None:
            raise ValueError("no such upload, or its time is over: upload it again")
        opening = uploaded(data, width, height)
        del data
        async with opening as upload:
            yield upload

    def recording(self, session_id: str, width: int, height: int) -> Recording:
        """A new recording of a session, in the place of its last one.

        Raises:
            ValueError: another session of this id is being recorded, or too many are.
        """
        return self._recordings.begin(session_id, width, height)

    async def _read(self, name: str, limit: int) -> bytes | None:
        upload = self._uploads.find(name)
        if upload is None:
            return None
        if upload.size > limit:
            raise ValueError(f"the upload has more than {limit / 1_000_000:g} MB")
        return await asyncio.to_thread(_bytes_of, self._uploads.path(upload))


def _bytes_of(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except FileNotFoundError:  # its time was over meanwhile
        return None
