"""From a path's ending to the saver that writes it. New kinds are one line here."""

from __future__ import annotations

from pathlib import Path

from framewire.client.errors import SaveError

from .base import Saver
from .contact_sheet import ContactSheetSaver
from .folder import FolderSaver
from .video import VideoSaver

VIDEO_ENDINGS = (".mp4",)
SHEET_ENDINGS = (".png", ".jpg", ".jpeg")


def saver_for(target: str, *, fps: float = 16.0) -> Saver:
    """The saver for `target`: `NAME/` a folder of JPEGs, `.mp4` a video, `.png` or `.jpg` a
    contact sheet.

    Raises:
        SaveError: nothing writes such a file, or the extra that does is not installed.
    """
    path = Path(target)
    ending = path.suffix.lower()
    if target.endswith("/") or path.is_dir() or not ending:
        return FolderSaver(path)
    if ending in VIDEO_ENDINGS:
        return VideoSaver(path, fps=fps)
    if ending in SHEET_ENDINGS:
        return ContactSheetSaver(path)
    known = ", ".join((*VIDEO_ENDINGS, *SHEET_ENDINGS))
    raise SaveError(f"no saver for {ending!r} files", hint=f"use {known}, or NAME/ for a folder")
