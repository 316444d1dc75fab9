"""From a path's ending to the saver that writes it. New kinds are one line here."""

from __future__ import annotations

import os
import re
from pathlib import Path

from framewire.client.errors import SaveError
from framewire.client.sound import Sounding

from .base import Saver
from .contact_sheet import ContactSheetSaver
from .folder import FolderSaver
from .gif import GifSaver
from .output_file import is_written_through, save_error
from .pipes import PIPE, DeviceSaver, PipeSaver
from .video import VIDEO_ENDINGS, VideoSaver

GIF_ENDINGS = (".gif",)
SHEET_ENDINGS = (".png", ".jpg", ".jpeg")
_STANDARD = {PIPE: 1, "/dev/stdout": 1, "/dev/stderr": 2}
_DESCRIPTOR = re.compile(r"/dev/fd/(\d{1,9})")


def saver_for(
    target: str, *, fps: float = 16.0, sound: Sounding | None = None, form: str = "jpeg"
) -> Saver:
    """The saver for `target`: `NAME/` a folder of JPEGs, `.mp4`, `.webm`, `.mov` or `.mkv` a video,
    `.gif` an animation, `.png` or `.jpg` a contact sheet, `-` frame after frame on standard output
    (and so into a device or a named pipe without such an ending).

    Args:
        fps: frames a second.
        sound: the source whose sound goes beside the frames of a video, if it was opened with it; what
            else there is holds none.
        form: of the frames in a pipe or a device: jpeg, raw (rgb24), rgb24, bgr24 or yuv420p.

    Raises:
        SaveError: nothing writes such a file, or the extra that does is not installed, or its place
            cannot be looked at.
    """
    path = Path(target)
    ending = path.suffix.lower()
    descriptor = descriptor_of(target)
    if descriptor is not None:
        return PipeSaver(descriptor if target != PIPE else None, path=path, fps=fps, form=form)
    try:
        is_folder = target.endswith(("/", os.sep)) or path.is_dir()
    except OSError as error:
        raise save_error(path, error) from error
    if is_folder:
        return FolderSaver(path, fps=fps)
    if ending in VIDEO_ENDINGS:
        return VideoSaver(path, fps=fps, sound=sound)
    if ending in GIF_ENDINGS:
        return GifSaver(path, fps=fps)
    if ending in SHEET_ENDINGS:
        return ContactSheetSaver(path)
    if is_written_through(path):
        return DeviceSaver(path, fps=fps, form=form)
    if not ending:
        return FolderSaver(path, fps=fps)
    known = ", ".join((*VIDEO_ENDINGS, *GIF_ENDINGS, *SHEET_ENDINGS))
    raise SaveError(
        f"no saver for {ending!r} files", hint=f"use {known}, NAME/ for a folder, - for a pipe"
    )


def descriptor_of(target: str) -> int | None:
    """Of what is open already, and is no file of that name; None of all else."""
    if target in _STANDARD:
        return _STANDARD[target]
    found = _DESCRIPTOR.fullmatch(target)
    return int(found[1]) if found else None
