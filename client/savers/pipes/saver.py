"""Frames on standard output, one after the other, for another program: `ffmpeg -f mjpeg -i -`.

Also into a device or a named pipe. JPEGs need nothing but the standard library, on a system that has
pipes to wait for.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

from framewire.client.errors import SaveError
from framewire.client.frames import Frame
from framewire.client.savers.base import Saved
from framewire.client.savers.descriptor import STALL_LIMIT, write_pipe
from framewire.client.savers.output_file import OutputFile, save_error

from .forms import JPEG, form_for

PIPE = "-"


class PipeSaver:
    """Writes each frame, nothing between them, as fast as they are read.

    Args:
        descriptor: of the file or pipe; None for standard output.
        stall_limit: seconds.
        path: what it is called.
        fps: frames a second of the stream, by which its length is told.
        form: one of `FORMS`.

    Attributes:
        on_said: told, in another thread, how it is read, where it does not tell itself.

    Raises:
        SaveError: it is a terminal, or what it needs is not installed.
    """

    def __init__(
        self,
        descriptor: int | None = None,
        *,
        stall_limit: float = STALL_LIMIT,
        path: Path = Path(PIPE),
        fps: float = 16.0,
        form: str = JPEG,
    ) -> None:
        self.path = path
        self.saved: Saved | None = None
        self.descriptor = sys.stdout.fileno() if descriptor is None else descriptor
        self.on_said: Callable[[str], None] | None = None
        self._stall_limit = stall_limit
        self._fps = fps
        self._count = self._bytes = 0
        self._name = name_of(path)
        refuse_terminal(self.descriptor, path)
        self._form = form_for(form, path)

    def open(self) -> None:
        """Nothing to do: it is open."""

    def write(self, frame: Frame, prompt: str | None) -> None:
        data = self._form.of(frame)
        if not self._count and self.on_said is not None and self._form.read_by:
            self.on_said(reading_text(self._name, self._form.read_by, self._fps))
        try:
            write_pipe(self.descriptor, data, self._stall_limit)
        except BrokenPipeError:
            raise SaveError(f"{self._name}: its reader has gone") from None
        except OSError as error:
            raise save_error(Path(self._name), error) from error
        self._count += 1
        self._bytes += len(data)

    def close(self) -> None:
        """Whoever opened it closes it."""
        if self._count:
            seconds = self._count / self._fps
            self.saved = Saved(self.path, self._count, seconds, self._bytes, is_file=False)


class DeviceSaver:
    """Writes the same into a device or a named pipe, such as `/dev/null`.

    Args:
        path: of the device.
        fps, form: as `PipeSaver`'s.

    Attributes:
        on_said: as `PipeSaver`'s.

    Raises:
        SaveError: what it needs is not installed.
    """

    def __init__(self, path: Path, *, fps: float = 16.0, form: str = JPEG) -> None:
        self.path = path
        self.saved: Saved | None = None
        self.on_said: Callable[[str], None] | None = None
        self._file = OutputFile(path)
        self._fps = fps
        self._count = 0
        self._form = form_for(form, path)

    def open(self) -> None:
        self._file.open()

    def write(self, frame: Frame, prompt: str | None) -> None:
        data = self._form.of(frame)
        if not self._count and self.on_said is not None and self._form.read_by:
            self.on_said(reading_text(str(self.path), self._form.read_by, self._fps))
        try:
            self._file.write(data)
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


def name_of(path: Path) -> str:
    """What a descriptor is called."""
    return "standard output" if str(path) == PIPE else str(path)


def refuse_terminal(descriptor: int, path: Path) -> None:
    """Check that nobody is to look at pictures as text.

    Raises:
        SaveError: it is a terminal.
    """
    if os.isatty(descriptor):
        raise SaveError(
            f"--out {path} writes pictures to {name_of(path)}, which is a terminal",
            hint="pipe it: framewire stream ... --out - | ffplay -f mjpeg -i -",
        )


def reading_text(name: str, read_by: str, fps: float) -> str:
    """How another program reads what is there, in one line."""
    return f"{name} is read by ffmpeg {read_by} -framerate {fps:g} -i -"
