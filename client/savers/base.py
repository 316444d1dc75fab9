"""What a saver is. Knows no file format and no thread: `Recorder` runs savers off the loop."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from framewire.client.frames import Frame

VIDEO_EXTRA = "pip install 'framewire[video]'"


@dataclass(frozen=True, slots=True)
class Saved:
    """What a saver has put in its place.

    Attributes:
        path: where it lies.
        frames: pictures in it.
        seconds: that it lasts; None for what has no time.
        bytes: of the file, or of all files of the folder.
        is_file: whether it is kept there: not a pipe or a device.
        notes: what a person should know of it, such as frames that were left out; one line each.
    """

    path: Path
    frames: int
    seconds: float | None
    bytes: int
    is_file: bool = True
    notes: tuple[str, ...] = ()


class Saver(Protocol):
    """Turns frames into a file or a folder. Called from one thread at a time.

    Attributes:
        path: where it is to lie.
        saved: what lies there of this run, known once it is closed; None if nothing does.
    """

    path: Path
    saved: Saved | None

    def open(self) -> None:
        """Called once, before the first frame and not before there is one.

        Raises:
            SaveError: it cannot be written there.
        """

    def write(self, frame: Frame, prompt: str | None) -> None:
        """Add a frame, and the prompt it shows where that is known.

        Raises:
            SaveError: it cannot be written, or the frame is no picture.
        """

    def close(self) -> None:
        """Put what can be used in its place; called once if `open` was, whatever went wrong.

        Raises:
            SaveError: what was written cannot be finished.
        """
