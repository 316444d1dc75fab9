"""Where live input comes from: what `--input` means."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from framewire.client.errors import InputError

from .camera import camera_pictures
from .folder import ENDINGS, folder_pictures, listed
from .pictures import Fitted, Size, Unusable
from .video import load_av, probe, video_pictures

WEBCAM = "webcam"
STANDARD_INPUT = "-"


@dataclass(frozen=True, slots=True)
class Clip:
    """Input for a stream.

    Attributes:
        name: a file, a folder, `webcam`, or `webcam:` and the camera's name.
        policy: the stream's `input`: every picture of a clip, the newest of a camera.
        fps: of the source, where it has a rate.
        size: width and height of its first picture, where one can be known beforehand.
        total: how many pictures it has, where that is known beforehand.
        notes: what of it is dropped or changed, in words.
    """

    name: str
    policy: Literal["newest", "all"]
    fps: float | None = None
    size: Size | None = None
    total: int | None = None
    notes: tuple[str, ...] = ()

    def pictures(self, covers: Size | None = None) -> Iterator[bytes | Unusable]:
        """Its pictures in order, each a JPEG, PNG or WebP file, and what cannot be used. Blocks.

        Args:
            covers: width and height that the stream is known to have.

        Raises:
            InputError: it cannot be opened, or little of it is left.
        """
        if self.policy == "newest":
            yield from camera_pictures(self.name.partition(":")[2])
        elif (path := Path(self.name)).is_dir():
            for found in folder_pictures(path, covers):
                yield found.data if isinstance(found, Fitted) else found
        else:
            yield from video_pictures(path, covers)


def clip_from(name: str) -> Clip:
    """What `--input` means. Blocks.

    Raises:
        InputError: there is no such clip or camera, or what reads it is not installed.
    """
    if name == WEBCAM or name.startswith(f"{WEBCAM}:"):
        load_av(name)
        return Clip(name, "newest")
    if name == STANDARD_INPUT:
        raise InputError(
            "- means standard input, which --input does not read", hint="a file of that name is ./-"
        )
    path = Path(name)
    if path.is_dir():
        return _folder(path, name)
    if not path.is_file():
        raise InputError(f"{name}: no such file or folder", hint="or say --input webcam")
    found = probe(path)
    return Clip(name, "all", found.fps, found.size, found.total, found.notes)


def _folder(path: Path, name: str) -> Clip:
    total = len(listed(path))
    if not total:
        raise InputError(f"{name} has no pictures", hint=f"it may hold {', '.join(ENDINGS)}")
    usable = (found for found in folder_pictures(path, None) if isinstance(found, Fitted))
    first = next(usable, None)
    if first is None:
        return Clip(name, "all", total=total)
    return Clip(name, "all", size=first.size, total=total, notes=(first.note,) * bool(first.note))
