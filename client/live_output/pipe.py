"""Standard output as a live sink writes into it: a reader that pauses is waited for, one that has gone
is the end, for nobody else can take its place."""

from __future__ import annotations

import os
import select
import threading
from collections.abc import Callable
from pathlib import Path

from framewire.client.errors import SaveError
from framewire.client.frames import Frame
from framewire.client.savers.output_file import save_error
from framewire.client.savers.pipes import form_for
from framewire.client.savers.pipes.saver import reading_text

from .target import Target

_LOOK = 0.1  # seconds until it is seen that it is to end


class ReaderGone(SaveError):
    """Nothing will ever take what is written there."""


class PipeOutlet:
    """Writes pictures as they are shown; `show` blocks while the reader takes nothing.

    Args:
        target: of a pipe.
        fps: pictures a second.
        on_shown: told of each picture that was written, by its number.
        say: told how it is read, where it does not tell itself.
    """

    def __init__(
        self,
        target: Target,
        fps: float,
        on_shown: Callable[[int], None],
        say: Callable[[str], None],
    ) -> None:
        assert target.descriptor is not None
        self._descriptor = target.descriptor
        self._name = target.shown
        self._form = form_for(target.format, Path(target.shown))
        self._fps = fps
        self._on_shown = on_shown
        self._say = say
        self._last: bytes | None = None
        self._is_ended = threading.Event()

    def show(self, number: int, jpeg: bytes | None, sound: bytes = b"") -> None:
        """Write a picture; None repeats the last. Sound is not written.

        Raises:
            ReaderGone: nobody reads it any more.
            SaveError: it is to end, or the frame is no picture.
        """
        if jpeg is not None:
            is_first = self._last is None
            self._last = self._form.of(Frame(number, None, jpeg, 0.0))
            if is_first and self._form.read_by:
                self._say(reading_text(self._name, self._form.read_by, self._fps))
        assert self._last is not None
        try:
            self._write(self._last)
        except BrokenPipeError:
            raise ReaderGone(f"{self._name}: its reader has gone") from None
        except OSError as error:
            raise ReaderGone(save_error(Path(self._name), error).reason) from None
        self._on_shown(number)

    def close(self) -> None:
        """Nothing waits; whoever opened it closes it."""

    def kill(self) -> None:
        """Have `show`, in another thread, end at once."""
        self._is_ended.set()

    def stop(self) -> None:
        """End it at once."""
        self.kill()

    def _write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            # A pipe that can be written to takes this much at once; more could block for good.
            while not select.select([], [self._descriptor], [], _LOOK)[1]:
                if self._is_ended.is_set():
                    raise SaveError(f"{self._name}: its reader takes nothing")
            rest = rest[os.write(self._descriptor, rest[: select.PIPE_BUF]) :]
