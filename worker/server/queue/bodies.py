"""The bodies of jobs that wait: files, so that a thousand of them cost no memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection
from pathlib import Path


class NoRoom(Exception):
    """The bodies that wait take all the room there is for them."""


class BodyTooLarge(Exception):
    """More than this endpoint takes."""


class JobBodies:
    """A folder with a file for each job, named by its id.

    Args:
        most_bytes: of all files together, those that are still coming included.
    """

    def __init__(self, folder: Path, most_bytes: int) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._folder = folder
        self._most_bytes = most_bytes
        self._sizes: dict[str, int] = {}
        self._bytes = 0

    def adopt(self, ids: Collection[str]) -> None:
        """Keep the files of these jobs, which an earlier process has left, and no others."""
        for path in self._folder.iterdir():
            if path.name in ids:
                self._sizes[path.name] = path.stat().st_size
                self._bytes += self._sizes[path.name]
            else:
                path.unlink()

    def path(self, id: str) -> Path:
        """Where a job's body lies."""
        return self._folder / id

    async def write(self, id: str, pieces: AsyncIterator[bytes], limit: int) -> int:
        """Write what comes; returns its bytes. Nothing is left where it fails.

        Raises:
            BodyTooLarge: it has more than `limit` bytes.
            NoRoom: there is no room for it beside the others.
            OSError: it cannot be written.
        """
        self._sizes[id] = 0
        try:
            with self.path(id).open("xb") as file:
                async for piece in pieces:
                    self._sizes[id] += len(piece)
                    self._bytes += len(piece)
                    if self._sizes[id] > limit:
                        raise BodyTooLarge
                    if self._bytes > self._most_bytes:
                        raise NoRoom
                    file.write(piece)
        except BaseException:
            self.remove(id)
            raise
        return self._sizes[id]

    def remove(self, id: str) -> None:
        """Delete a job's body, if it has one."""
        self._bytes -= self._sizes.pop(id, 0)
        self.path(id).unlink(missing_ok=True)
