"""Frames on standard output, JPEG after JPEG, for another program to read: `ffmpeg -f mjpeg -i -`.

Also into a device or a named pipe. Needs nothing but the standard library, on a system that has
pipes to wait for.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from framewire.client.errors import SaveError
from framewire.client.frames import Frame

from .base import Saved
from .descriptor import STALL_LIMIT, write_pipe
from .output_file import OutputFile, save_error

PIPE = "-"


class PipeSaver:
    """Writes the JPEGs as they came, nothing between them (FFmpeg's `mjpeg`).

    Args:
        descriptor: of the file or pipe; None for standard output.
        stall_limit: seconds.
        path: what it is called.
        fps: frames a second of the stream, by which its length is told.

    Raises:
        SaveError: it is a terminal.
    """

    def __init__(
        self,
        descriptor: int | None = None,
        *,
        stall_limit: float = STALL_LIMIT,
        path: Path = Path(PIPE),
        fps: float = 16.0,
    ) -> None:
        self.path = path
        self.saved: Saved | None = None
        self.descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self._stall_limit = stall_limit
        self._fps = fps
        self._count = self._bytes = 0
        self._name = "standard output" if str(path) == PIPE else str(path)
        if os.isatty(self.descriptor):
            raise SaveError(
                f"--out {path} writes JPEGs to {self._name}, which is a terminal",
                hint="pipe it: framewire stream ... --out - | ffplay -f mjpeg -i -",
            )

    def open(self) -> None:
        """Nothing to do: it is open."""

    def write(self, frame: Frame, prompt: str | None) -> None:
        try:
            write_pipe(self.descriptor, frame.jpeg, self._stall_limit)
        except BrokenPipeError:
            raise SaveError(f"{self._name}: its reader has gone") from None
        except OSError as error:
            raise save_error(Path(self._name), error) from error
        self._count += 1
        self._bytes += len(frame.jpeg)

    def close(self) -> None:
        """Whoever opened it closes it."""
        if self._count:
            seconds = self._count / self._fps
            self.saved = Saved(self.path, self._count, seconds, self._bytes, is_file=False)


class DeviceSaver:
    """Writes the same into a device or a named pipe, such as `/dev/null`.

    Args:
        path: of the device.
        fps: as `PipeSaver`'s.
    """

    def __init__(self, path: Path, *, fps: float = 16.0) -> None:
        self.path = path
        self.saved: Saved | None = None
        self._file = OutputFile(path)
        self._fps = fps
        self._count = 0

    def open(self) -> None:
        self._file.open()

    def write(self, frame: Frame, prompt: str | None) -> None:
        try:
            self._file.write(frame.jpeg)
        except BrokenPipeError:
            raise SaveError(f"{self.path}: its reader has gone") from None
        except OSError as error:
            raise save_error(self.path, error) from error
        self._count += 1

    def close(self) -> None:
        size = self._file.keep()
        if self._count:
            seconds = self._count / self._fps
            self.saved = Saved(self.path, self._count, seconds, size, is_file=False)
