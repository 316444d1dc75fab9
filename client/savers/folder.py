"""A folder of JPEG files, as they came. Needs nothing but the standard library."""

from __future__ import annotations

from pathlib import Path

from framewire.client.errors import SaveError
from framewire.client.frames import Frame


class FolderSaver:
    """Writes `frame_000000.jpg` and on, in the order of arrival, without gaps.

    Each file is written under another name first and then renamed, so that nobody ever sees
    half a picture.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._count = 0

    def open(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(f"{self.path}: {error.strerror or error}") from error
        if list(self.path.glob("frame_*.jpg")):
            raise SaveError(
                f"{self.path} holds frames already", hint="empty it or choose another folder"
            )

    def write(self, frame: Frame, prompt: str | None) -> None:
        final = self.path / f"frame_{self._count:06d}.jpg"
        partial = final.with_suffix(".part")
        try:
            partial.write_bytes(frame.jpeg)
            partial.replace(final)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise SaveError(f"{final}: {error.strerror or error}") from error
        self._count += 1

    def close(self) -> None:
        """Nothing is left to do: each file was finished as it was written."""
