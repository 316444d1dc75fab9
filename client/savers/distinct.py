"""That no file is written which is also read, or written twice: by identity, not by name.

Owns the comparison; nothing is touched by it. Knows savers by their kind only as far as a folder of
frames is more than one file.
"""

from __future__ import annotations

import os
import stat
import unicodedata
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from framewire.client.errors import SaveError

from .folder import FolderSaver, frame_files, is_frame_name
from .output_file import part_of
from .pipes import PipeSaver

_HINT = "write to another file"


@dataclass(frozen=True, slots=True)
class _Identity:
    """A file: what exists of its path, by device and number, and the names below that.

    The names of two files that do not exist yet are compared as a file system would that takes
    no notice of case; whether this one does cannot be known before they are made.
    """

    device: int
    number: int
    names: tuple[str, ...]


class Output(Protocol):
    """What writes a file, or a folder."""

    path: Path


def refuse_shared_files(
    outputs: Sequence[tuple[str, Output]], inputs: Sequence[tuple[str, Path]] = ()
) -> None:
    """Check that each output is a file of its own.

    Args:
        outputs: what each is called in the message, and what writes it.
        inputs: files and folders that are read, and what they are called.

    Raises:
        SaveError: two of them are the same file.
    """
    for number, (name, saver) in enumerate(outputs):
        for other_name, path in inputs:
            if _would_destroy(saver, path):
                raise SaveError(f"{name} is the same file as {other_name}", hint=_HINT)
        for other_name, other in outputs[:number]:
            if _share(saver, other):
                raise SaveError(f"{other_name} and {name} {_how_alike(other, saver)}", hint=_HINT)


def _would_destroy(saver: Output, path: Path) -> bool:
    """Whether writing an output changes an input, or a file in it where it is a folder."""
    written, read = _of_saver(saver), _of_path(path)
    if written is None or read is None:
        return False
    if written == read:
        return True
    if isinstance(saver, FolderSaver):
        mine = _identities(frame_files, saver.path)
        return bool(mine & ({read} | _identities(Path.iterdir, path)))
    return not written.names and written in _identities(Path.iterdir, path)


def _share(one: Output, other: Output) -> bool:
    first, second = _of_saver(one), _of_saver(other)
    if first is None or second is None:
        return False
    if first == second or _in_folder(one, other) or _in_folder(other, one):
        return True
    return _of_path(_part(one)) == second or _of_path(_part(other)) == first


def _how_alike(one: Output, other: Output) -> str:
    first, second = (os.path.realpath(saver.path) for saver in (one, other))
    if first != second and first.casefold() == second.casefold():
        return "differ only in case, and may be the same file"
    return "are the same file"


def _in_folder(folder: Output, file: Output) -> bool:
    """Whether one writes a folder of frames, and the other a file that is named like a frame."""
    if not isinstance(folder, FolderSaver):
        return False
    path = Path(os.path.realpath(file.path))
    return is_frame_name(path.name) and _of_path(path.parent) == _of_path(folder.path)


def _part(saver: Output) -> Path:
    return part_of(Path(os.path.realpath(saver.path)))


def _of_saver(saver: Output) -> _Identity | None:
    if isinstance(saver, PipeSaver):
        try:
            return _of_status(os.fstat(saver.descriptor))
        except OSError:
            return None
    return _of_path(saver.path)


def _of_path(path: Path) -> _Identity | None:
    """None for what can be read and written by many at once: a device."""
    at = Path(os.path.realpath(path))
    names: list[str] = []
    while True:
        try:
            found = _of_status(at.stat(), *reversed(names))
        except OSError:
            if at == at.parent:
                return None
            names.append(unicodedata.normalize("NFC", at.name).casefold())
            at = at.parent
        else:
            return found


def _of_status(status: os.stat_result, *names: str) -> _Identity | None:
    if stat.S_ISCHR(status.st_mode):
        return None
    return _Identity(status.st_dev, status.st_ino, names)


def _identities(files: Callable[[Path], Iterator[Path]], folder: Path) -> set[_Identity]:
    """Of the files in a folder; of nothing if it is none."""
    try:
        return {found for file in files(folder) if (found := _of_path(file)) is not None}
    except OSError:
        return set()
