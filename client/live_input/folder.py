"""The pictures of a folder, in the order that a person would put them in.

Knows no format: `pictures` says what can be used.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from framewire.client.errors import InputError

from .pictures import Fitted, Size, Unusable, fitted

ENDINGS = (".jpg", ".jpeg", ".png", ".webp", ".avif", ".heic", ".heif", ".bmp", ".tif", ".tiff")
_MAX_BYTES = 256_000_000


def listed(folder: Path) -> list[Path]:
    """What looks like a picture; numbers in names count as numbers, hidden files do not count.

    Raises:
        InputError: the folder cannot be read.
    """
    try:
        found = list(folder.iterdir())
    except OSError as error:
        raise InputError(f"{folder}: {error.strerror}") from error
    pictures = [path for path in found if path.suffix.lower() in ENDINGS]
    return sorted((path for path in pictures if not path.name.startswith(".")), key=_order)


def folder_pictures(folder: Path, covers: Size | None) -> Iterator[Fitted | Unusable]:
    """Each picture made fit for the wire, or why it is none. Blocks.

    Args:
        covers: width and height that the stream is known to have.
    """
    for path in listed(folder):
        try:
            yield fitted(_read(path), path.name, covers)
        except InputError as error:
            hint = f" ({error.hint})" if error.hint else ""
            yield Unusable(path.name, error.reason.removeprefix(f"{path.name} ") + hint)


def _read(path: Path) -> bytes:
    try:
        if not path.is_file():  # opening a pipe would wait for its other end
            kind = "a folder" if path.is_dir() else "no file"
            raise InputError(f"{path.name} is {kind}")
        if path.stat().st_size > _MAX_BYTES:
            raise InputError(f"{path.name} has more than {_MAX_BYTES // 1_000_000} MB")
        return path.read_bytes()
    except OSError as error:
        raise InputError(f"{path.name} {error.strerror}") from error


def _order(path: Path) -> tuple[list[tuple[int, str]], str]:
    """Of `a2` before `a10`."""
    parts = re.split(r"([0-9]+)", path.name.casefold())
    return [(int(part), "") if at % 2 else (-1, part) for at, part in enumerate(parts)], path.name
