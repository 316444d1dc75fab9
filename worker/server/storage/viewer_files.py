"""Uploads as sessions use them."""

from __future__ import annotations

import asyncio
from pathlib import Path

from framewire.protocol import MAX_MESSAGE_BYTES

from .store import UploadStore


class StoredFiles:
    """`ViewerFiles` of one worker."""

    def __init__(self, uploads: UploadStore) -> None:
        self._uploads = uploads

    async def picture(self, name: str) -> bytes | None:
        """The bytes of the upload of this name; None where there is none, or none any more.

        Raises:
            ValueError: there are more than a message may have, which is how a picture comes else.
        """
        return await self._read(name, MAX_MESSAGE_BYTES)

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
