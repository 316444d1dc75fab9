"""From a path's ending to the saver that writes it. New kinds are one line here."""

from __future__ import annotations

from pathlib import Path

from framewire.client.errors import SaveError

from .base import Saver
from .contact_sheet import ContactSheetSaver
from .folder import FolderSaver
from .gif import GifSaver
from .pipe import PIPE, PipeSaver
from .video import VIDEO_ENDINGS, VideoSaver

GIF_ENDINGS = (".gif",)
SHEET_ENDINGS = (".png", ".jpg", ".jpeg")


def saver_for(target: str, *, fps: float = 16.0) -> Saver:
    """The saver for `target`: `NAME/` a folder of JPEGs, `.mp4` or `.webm` a video, `.gif` an
    animation, `.png` or `.jpg` a contact sheet, `-` JPEG after JPEG on standard output.

    Raises:
        SaveError: nothing writes such a file, or the extra that does is not installed.
    """
    path = Path(target)
    ending = path.suffix.lower()
    if target == PIPE:
        return PipeSaver()
    if target.endswith("/") or path.is_dir() or not ending:
        return FolderSaver(path)
    if ending in VIDEO_ENDINGS:
        return VideoSaver(path, fps=fps)
    if ending in GIF_ENDINGS:
        return GifSaver(path, fps=fps)
    if ending in SHEET_ENDINGS:
        return ContactSheetSaver(path)
    known = ", ".join((*VIDEO_ENDINGS, *GIF_ENDINGS, *SHEET_ENDINGS))
    raise SaveError(
        f"no saver for {ending!r} files", hint=f"use {known}, NAME/ for a folder, - for a pipe"
    )
