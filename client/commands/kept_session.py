"""`--save-timeline`: where a session is kept, and `--input` and `--start-frame` of one that was.

Knows which files may be written; what is kept is the journal's business.
"""

from __future__ import annotations

import argparse
import hashlib
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError, TimelineError
from framewire.client.live_input.folder import listed
from framewire.client.timeline.formats.writing import refuse_other_files, save_timeline
from framewire.client.timeline.journal import UNREPEATABLE, Journal
from framewire.client.timeline.model import Clip, Timeline

_CHUNK = 1 << 20


class KeptSession:
    """The file of `--save-timeline`.

    Raises:
        SaveError: what is there is no timeline.
    """

    def __init__(self, name: str, journal: Journal) -> None:
        refuse_other_files(name)
        self.path = Path(name)
        self.journal = journal

    def save(self, original_prompt: str | None) -> dict[str, Any] | None:
        """Write what was kept; None where no frame has come, and nothing is written.

        Args:
            original_prompt: what the prompt was before it was expanded, if it was.

        Raises:
            SaveError: it cannot be written.
        """
        self.journal.original_prompt = original_prompt
        timeline = self.journal.timeline()
        if not timeline.pieces:
            return None
        save_timeline(timeline, self.path)
        return {
            "path": str(self.path),
            "pieces": len(timeline.pieces),
            "frames": self.journal.frames,
            "not_kept": list(timeline.notes),
        }


def journal_of(options: argparse.Namespace) -> Journal | None:
    """What keeps the session, where that is asked for, or may be. Blocks: reads a clip.

    Raises:
        SaveError: what is asked for could not be made again.
    """
    if not options.save_timeline:
        return None if options.typed is None else Journal()
    if options.mid_block_prompts:
        raise SaveError(f"--save-timeline: {UNREPEATABLE}")
    path = options.clip and options.clip.path
    return Journal(clip_at(path) if path else None)


def check_same_input(options: argparse.Namespace) -> None:
    """Check that a kept session is played with what it was made from. Blocks: reads a clip.

    Raises:
        TimelineError: it is something else; says what it was.
    """
    kept: Timeline | None = options.played
    if kept is None or not kept.pieces:
        return
    _check_start_frame(kept, options)
    if kept.clip is None:
        return
    was = f"{kept.clip.name} (SHA-256 {kept.clip.sha256[:16]}…)"
    path = options.clip and options.clip.path
    if path is None:
        raise TimelineError(f"{options.timeline}: was made from {was}: give it as --input")
    given = clip_at(path)
    if given.sha256 != kept.clip.sha256:
        raise TimelineError(
            f"{options.timeline}: was made from {was}; {options.input} is another "
            f"({given.sha256[:16]}…)"
        )


def _check_start_frame(kept: Timeline, options: argparse.Namespace) -> None:
    wanted = {piece.start_frame for piece in kept.pieces if piece.start_frame}
    if not wanted:
        return
    given = options.start_picture
    if given is None:
        raise TimelineError(f"{options.timeline}: began with a picture: give it as --start-frame")
    if hashlib.sha256(given).hexdigest() not in wanted:
        raise TimelineError(
            f"{options.timeline}: began with another picture than {options.start_frame} (SHA-256 "
            f"{next(iter(wanted))[:16]}…)"
        )


def clip_at(path: Path) -> Clip:
    """A video by its bytes, a folder by those of its pictures in order. Blocks.

    Raises:
        SaveError: it cannot be read.
    """
    whole = hashlib.sha256()
    files = listed(path) if path.is_dir() else [path]
    try:
        for file in files:
            one = hashlib.sha256()
            with file.open("rb") as data:
                while chunk := data.read(_CHUNK):
                    one.update(chunk)
            whole.update(one.digest() if path.is_dir() else b"")
    except OSError as error:
        raise SaveError(f"{path}: {error.strerror}") from error
    return Clip(path.name, whole.hexdigest() if path.is_dir() else one.hexdigest())
