"""A file that is on its way: parts in any order, each as it comes, then all of them in one.

Written to disk as they come, off the event loop; at most a megabyte of each waits in memory.
"""

from __future__ import annotations

import asyncio
import hashlib
import secrets
import shutil
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .errors import NoSuchUpload, NotWritten, PartsMissing, UploadTooLarge
from .room import UploadRoom

MOST_PARTS = 10_000
PART_SUFFIX = ".part"
_PIECE = 1 << 20
_PARTS_NAMED = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class About:
    """What is known of a file before its first byte.

    Attributes:
        name: in the store and in its URL; nobody can guess it.
        url: as its caller was told.
        life: seconds that it is kept once it is whole.
        owner: the address that it counts to, if any.
    """

    name: str
    url: str
    content_type: str
    file_name: str
    life: float
    owner: str | None


@dataclass(frozen=True, slots=True)
class _Part:
    path: Path
    size: int
    etag: str


class HalfUpload:
    """Made by the store.

    Args:
        folder: where its parts lie.
        limit: bytes that it may have in all.

    Attributes:
        id: its permission: whoever knows it may send parts.
        last_at: the loop's time when something of it came.
    """

    def __init__(self, about: About, folder: Path, room: UploadRoom, limit: int) -> None:
        self.about = about
        self.id = secrets.token_urlsafe(24)
        self.last_at = asyncio.get_running_loop().time()
        self._folder = folder
        self._room = room
        self._limit = limit
        self._parts: dict[int, _Part] = {}
        self._size = 0
        self._receiving = 0
        self._is_over = False

    @property
    def is_busy(self) -> bool:
        """Whether something of it is on its way right now."""
        return self._receiving > 0

    async def receive(self, number: int, pieces: AsyncIterator[bytes]) -> str:
        """Write one part, in the place of an earlier one of its number; returns its ETag.

        Raises:
            NoSuchUpload: it is over.
            UploadTooLarge, StoreFull, NotWritten: what came is not kept.
        """
        if not 1 <= number <= MOST_PARTS:
            raise NoSuchUpload(f"no part {number}: they are 1 to {MOST_PARTS}")
        if self._is_over:
            raise NoSuchUpload("this upload is over")
        path = self._folder / f"{self.about.name}.{secrets.token_hex(8)}{PART_SUFFIX}"
        self._receiving += 1
        try:
            part = await self._written(path, pieces)
        finally:
            self._receiving -= 1
        if self._is_over:
            self._forget(part)
            raise NoSuchUpload("the upload was over before this part had come")
        if number in self._parts:
            self._forget(self._parts[number])
        self._parts[number] = part
        return part.etag

    async def join(self, wanted: Iterable[tuple[int, str]] | None, path: Path) -> int:
        """Put the parts together into `path`; returns the bytes that it has.

        Args:
            wanted: number and ETag of each; None: all that came.

        Raises:
            NoSuchUpload: it is over.
            PartsMissing: these are not the parts that came; they can be sent still.
            NotWritten: the disk is full.
        """
        if self._is_over:
            raise NoSuchUpload("this upload is being completed already")
        if self.is_busy:
            raise PartsMissing("a part is on its way still")
        parts = self._chosen(wanted)
        self._is_over = True
        for part in set(self._parts.values()) - set(parts):
            self._forget(part)
        with disk_failing():
            await asyncio.to_thread(_joined, [part.path for part in parts], path)
        self._parts.clear()
        size, self._size = self._size, 0
        return size

    def discard(self) -> None:
        """It is of no use any more: what came of it is deleted."""
        self._is_over = True
        for part in self._parts.values():
            self._forget(part)
        self._parts.clear()

    def _chosen(self, wanted: Iterable[tuple[int, str]] | None) -> list[_Part]:
        if wanted is None:
            return [part for _, part in sorted(self._parts.items())]
        asked = dict(wanted)
        missing = [
            number
            for number, etag in sorted(asked.items())
            if number not in self._parts or self._parts[number].etag != etag.strip('"')
        ]
        if missing or not asked:
            named = ", ".join(map(str, missing[:_PARTS_NAMED])) or "none is named"
            raise PartsMissing(f"parts that did not come, or came anew since: {named}")
        return [self._parts[number] for number in sorted(asked)]

    async def _written(self, path: Path, pieces: AsyncIterator[bytes]) -> _Part:
        digest = hashlib.sha256()
        size = 0
        try:
            with disk_failing():
                file = await asyncio.to_thread(path.open, "xb")
            with file:
                async for block in _in_blocks(pieces):
                    self._count(len(block))
                    size += len(block)
                    with disk_failing():
                        await asyncio.to_thread(file.write, block)
                    digest.update(block)
                with disk_failing():
                    await asyncio.to_thread(file.flush)
        except BaseException:
            self._forget(_Part(path, size, ""))
            raise
        return _Part(path, size, digest.hexdigest())

    def _count(self, size: int) -> None:
        if self._size + size > self._limit:
            raise UploadTooLarge(f"a file may have {self._limit / 1_000_000:g} MB here")
        self._room.take(self.about.owner, size)
        self._size += size
        self.last_at = asyncio.get_running_loop().time()

    def _forget(self, part: _Part) -> None:
        part.path.unlink(missing_ok=True)
        self._size -= part.size
        self._room.give_back(self.about.owner, part.size)


async def _in_blocks(pieces: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes, a megabyte or more at a time."""
    block = bytearray()
    async for piece in pieces:
        block += piece
        if len(block) >= _PIECE:
            yield bytes(block)
            block.clear()
    yield bytes(block)


def _joined(parts: list[Path], path: Path) -> None:
    """All of them in the first, which is then renamed: no more than one lies there twice."""
    if not parts:
        path.touch()
        return
    with parts[0].open("ab") as whole:
        for part in parts[1:]:
            with part.open("rb") as more:
                shutil.copyfileobj(more, whole, _PIECE)
            part.unlink()
    parts[0].rename(path)


@contextmanager
def disk_failing() -> Iterator[None]:
    """In its block, what the system says of a full or broken disk is `NotWritten`."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise NotWritten(f"the worker cannot write it: {reason}") from error
