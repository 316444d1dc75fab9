"""Frames on standard output, JPEG after JPEG, for another program to read: `ffmpeg -f mjpeg -i -`.

Needs nothing but the standard library, on a system that has pipes to wait for.
"""

from __future__ import annotations

import os
import select
import sys
from pathlib import Path

from framewire.client.errors import SaveError
from framewire.client.frames import Frame

PIPE = "-"
STALL_LIMIT = 60.0
"""Seconds for which the reader may take nothing; a paused player stops the worker well before."""


class PipeSaver:
    """Writes the JPEGs as they came, nothing between them (FFmpeg's `mjpeg`).

    Args:
        descriptor: of the file or pipe; None for standard output.
        stall_limit: seconds.

    Raises:
        SaveError: it is a terminal.
    """

    def __init__(self, descriptor: int | None = None, *, stall_limit: float = STALL_LIMIT) -> None:
        self.path = Path(PIPE)
        self._out = sys.stdout.fileno() if descriptor is None else descriptor
        self._stall_limit = stall_limit
        if os.isatty(self._out):
            raise SaveError(
                "--out - writes JPEGs to standard output, which is a terminal",
                hint="pipe it: framewire stream ... --out - | ffplay -f mjpeg -i -",
            )

    def open(self) -> None:
        """Nothing to do: it is open."""

    def write(self, frame: Frame, prompt: str | None) -> None:
        rest = memoryview(frame.jpeg)
        try:
            while rest:
                # A pipe that can be written to takes this much at once; more could block for good.
                if not select.select([], [self._out], [], self._stall_limit)[1]:
                    raise SaveError(f"standard output: not read for {self._stall_limit:g} s")
                rest = rest[os.write(self._out, rest[: select.PIPE_BUF]) :]
        except BrokenPipeError:
            raise SaveError("standard output: its reader has gone") from None
        except OSError as error:
            raise SaveError(f"standard output: {error.strerror or error}") from error

    def close(self) -> None:
        """Nothing to do: whoever opened it closes it."""
