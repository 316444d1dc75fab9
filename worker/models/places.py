"""Where a file is, as people say it: a path on this machine, or a name on the hub."""

from __future__ import annotations

import re
from pathlib import Path

_HUB = re.compile(r"([\w.-]+/[\w.-]+)/([\w./ -]+)", re.ASCII)


def file_at(text: str, folder: Path = Path()) -> Path | None:
    """The file at a path, absolute; None where there is none, or no path is like that.

    Args:
        folder: where relative paths begin.
    """
    try:
        path = folder.absolute() / Path(text).expanduser()
        return path if path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # too long, of no such user, or with a NUL
        return None


def on_hub(text: str) -> tuple[str, str] | None:
    """Repository and path of `OWNER/REPOSITORY/FILE`; None of what is something else."""
    match = _HUB.fullmatch(text)
    return (match[1], match[2]) if match and ".." not in text.split("/") else None
