"""What a saver is. Knows no file format and no thread: `Recorder` runs savers off the loop."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from framewire.client.frames import Frame

VIDEO_EXTRA = "pip install 'framewire[video]'"


class Saver(Protocol):
    """Turns frames into a file or a folder. Called from one thread at a time.

    Attributes:
        path: where it lies.
    """

    path: Path

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
        """Finish what can be finished; called once if `open` was, whatever went wrong.

        Raises:
            SaveError: what was written cannot be finished.
        """
