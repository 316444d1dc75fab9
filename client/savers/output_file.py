"""Where a file is written until it is whole: beside its place, as `x.part.mp4` for `x.mp4`.

Owns that name, and the change to the real one; knows no format. What is no ordinary file (a device,
a named pipe, a link to either) is written through, never replaced.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat
import time
from pathlib import Path

from framewire.client.errors import SaveError, in_words

from .descriptor import STALL_LIMIT, write_file, write_pipe

_POLL = 0.05


def part_of(path: Path, number: int = 1) -> Path:
    """The name that `path` is written under; the `number`th, where others are taken."""
    count = "" if number == 1 else f"-{number}"
    return path.with_name(f"{path.stem}.part{count}{path.suffix}")


def is_written_through(path: Path) -> bool:
    """Whether what is there is no file that could be replaced: a device or a pipe."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def save_error(path: Path, error: Exception) -> SaveError:
    """In words, whatever the number."""
    return SaveError(f"{path}: {in_words(error)}")


class OutputFile:
    """One file, to be written from start to end or, if it is an ordinary one, with seeks.

    A binary file as far as PyAV and Pillow need one. A part that another run has left (it was
    killed) is kept: the next name is taken.

    Args:
        path: of the finished file. A link is followed, and stays one.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._final = path
        self._part: Path | None = None
        self._descriptor: int | None = None
        self._is_pipe = False
        self._written = 0

    def open(self) -> None:
        """Make the part, and the folders above it.

        Raises:
            SaveError: it cannot be written there.
        """
        try:
            if is_written_through(self.path):
                self._is_pipe = True
                self._descriptor = _opened(self.path)
                return
            self._final = Path(os.path.realpath(self.path))
            self._final.parent.mkdir(parents=True, exist_ok=True)
            self._part, self._descriptor = _new_part(self._final)
        except OSError as error:
            raise save_error(self.path, error) from error
        with contextlib.suppress(OSError):
            shutil.copymode(self._final, self._part)

    @property
    def is_file(self) -> bool:
        """Whether it is an ordinary one; known once it is open."""
        return not self._is_pipe

    @property
    def part(self) -> Path | None:
        """Where it lies until it is kept; None for what is written through."""
        return self._part

    def write(self, data: bytes) -> int:
        """Write all of it.

        Raises:
            OSError: it cannot be.
        """
        assert self._descriptor is not None
        (write_pipe if self._is_pipe else write_file)(self._descriptor, bytes(data))
        self._written += len(data)
        return len(data)

    def seekable(self) -> bool:
        """Whether `seek` can be used."""
        return not self._is_pipe

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's."""
        assert self._descriptor is not None
        return os.lseek(self._descriptor, offset, whence)

    def tell(self) -> int:
        """As a file's."""
        return self._written if self._is_pipe else self.seek(0, os.SEEK_CUR)

    def flush(self) -> None:
        """Nothing waits."""

    def keep(self) -> int:
        """Put it in its place; returns its size in bytes.

        Raises:
            SaveError: it cannot be put there; the part stays.
        """
        self._close()
        if self._part is None:
            return self._written
        try:
            size = self._part.stat().st_size
            self._part.replace(self._final)
        except OSError as error:
            raise SaveError(
                f"{self.path}: {in_words(error)}", hint=f"it lies at {self._part}"
            ) from error
        return size

    def discard(self) -> None:
        """Leave what was there as it was."""
        self._close()
        if self._part is not None:
            self._part.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = None


def _new_part(final: Path) -> tuple[Path, int]:
    number = 1
    while True:
        part = part_of(final, number)
        try:
            flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
            return part, os.open(part, flags, 0o666)
        except FileExistsError:
            number += 1


def _opened(path: Path) -> int:
    """A device or pipe; a pipe's reader may come a little later."""
    mode = path.stat().st_mode
    if stat.S_ISBLK(mode) or stat.S_ISSOCK(mode):
        raise OSError(errno.EINVAL, "a disk or a socket, which is not written to")
    flags = os.O_WRONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
    until = time.monotonic() + STALL_LIMIT
    while True:
        try:
            return os.open(path, flags)
        except OSError as error:
            if error.errno != errno.ENXIO or not stat.S_ISFIFO(mode):
                raise
            if time.monotonic() > until:
                raise OSError(errno.ENXIO, f"nobody read it for {STALL_LIMIT:g} s") from None
            time.sleep(_POLL)
