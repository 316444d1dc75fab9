"""A file's name, taken before there is anything to write, so that nothing of that name is replaced."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from framewire.client.errors import SaveError
from framewire.client.savers.output_file import save_error

_HINT = "type another name"


def claim(path: Path) -> None:
    """Make an empty file, which what is written replaces.

    Raises:
        SaveError: something is there, or nothing can be.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
    except FileExistsError:
        raise SaveError(f"{path} is there already", hint=_HINT) from None
    except OSError as error:
        raise save_error(path, error) from error


def release(path: Path) -> None:
    """Give a claimed name back, if nothing was written there."""
    with contextlib.suppress(OSError):
        if path.is_file() and not path.stat().st_size:
            path.unlink()


def refuse_full_folder(path: Path) -> None:
    """Check that nothing is there, or an empty folder.

    Raises:
        SaveError: something is.
    """
    if path.is_symlink() or (path.exists() and not (path.is_dir() and not any(path.iterdir()))):
        raise SaveError(f"{path} is there already", hint=_HINT)
