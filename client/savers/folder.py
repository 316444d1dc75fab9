"""A folder of JPEG files, as they came. Needs nothing but the standard library."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

from framewire.client.frames import Frame

from .base import Saved
from .output_file import save_error

_FRAME = re.compile(r"frame_\d{6,}\.jpg")


class FolderSaver:
    """Writes `frame_000000.jpg` and on, in the order of arrival, without gaps.

    Each file is written under another name first and then renamed, so that nobody ever sees
    half a picture. Frames of an earlier stream are deleted when the first new one is there: two
    streams in one folder would make one wrong one. Other files stay.

    Args:
        path: the folder; made if it is not there.
        fps: frames a second of the stream, by which its length is told.
    """

    def __init__(self, path: Path, *, fps: float = 16.0) -> None:
        self.path = path
        self.saved: Saved | None = None
        self._fps = fps
        self._folder = path
        self._count = self._bytes = self._replaced = 0

    def open(self) -> None:
        self._folder = Path(os.path.realpath(self.path))
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise save_error(self.path, error) from error

    def write(self, frame: Frame, prompt: str | None) -> None:
        final = self._folder / f"frame_{self._count:06d}.jpg"
        partial = final.with_suffix(".part")
        try:
            partial.write_bytes(frame.jpeg)
            if not self._count:
                self._delete_earlier()
            partial.replace(final)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise save_error(self.path / final.name, error) from error
        self._count += 1
        self._bytes += len(frame.jpeg)

    def close(self) -> None:
        """Nothing is left to do: each file was finished as it was written."""
        if self._count:
            said = f"{self._replaced} frames of an earlier stream replaced"
            notes = (said,) if self._replaced else ()
            seconds = self._count / self._fps
            self.saved = Saved(self.path, self._count, seconds, self._bytes, notes=notes)

    def _delete_earlier(self) -> None:
        for path in list(frame_files(self._folder)):
            path.unlink()
            self._replaced += 1


def frame_files(folder: Path) -> Iterator[Path]:
    """The files of a folder that are named as a stream's frames are.

    Raises:
        OSError: it cannot be read.
    """
    return (path for path in folder.iterdir() if _FRAME.fullmatch(path.name))


def is_frame_name(name: str) -> bool:
    """Whether a stream into a folder may write or delete a file of this name."""
    return _FRAME.fullmatch(name) is not None
