"""Fonts for captions in any script: Pillow's own, then whatever the machine has.

Owns finding a font that has a character. A font says so by drawing something else than its
picture for what it lacks (a box, mostly).
"""

from __future__ import annotations

import functools
import itertools
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDERS = (
    "/usr/share/fonts",
    "/usr/local/share/fonts",
    "~/.local/share/fonts",
    "~/.fonts",
    "/System/Library/Fonts",
    "/Library/Fonts",
    "~/Library/Fonts",
    "C:/Windows/Fonts",
    "~/AppData/Local/Microsoft/Windows/Fonts",
)
_MOST_FILES = 1000
_ENDINGS = (".ttf", ".otf", ".ttc")
_LATER = ("bold", "italic", "oblique", "light", "thin", "black", "mono", "serif", "condensed")
_ABSENT = "\uffff"  # no character, so that no font has it
# Pictures of emoji come in one size, which differs from font to font.
_FIXED_SIZES = (109, 136, 160, 128, 96, 64)
INVISIBLE = frozenset("\u200c\u200d\ufe0e\ufe0f")


@dataclass(eq=False, slots=True)
class Font:
    """One font.

    Attributes:
        pil: Pillow's.
        scale: by which what it draws is to be made smaller; 1 for all but pictures of emoji.
    """

    pil: Any
    scale: float = 1.0
    _absent: tuple[Any, bytes] | None = None
    _known: dict[str, bool] = field(default_factory=dict)

    def has(self, text: str) -> bool:
        """Whether it can draw every character of a short text."""
        return all(self._has(one) for one in text if one not in INVISIBLE)

    def _has(self, character: str) -> bool:
        if character not in self._known:
            self._known[character] = character.isspace() or self._draws(character)
        return self._known[character]

    def _draws(self, character: str) -> bool:
        if self._absent is None:
            self._absent = self._drawn(_ABSENT)
        drawn = self._drawn(character)
        return drawn != self._absent and any(drawn[1])

    def _drawn(self, character: str) -> tuple[Any, bytes]:
        mask = self.pil.getmask(character, mode="L")
        return mask.size, bytes(mask)


class Fonts:
    """All fonts there are, in the order in which they are asked.

    Args:
        pil: Pillow, with `ImageFont` and `features`.
        size: in pixels.
    """

    def __init__(self, pil: Any, size: int) -> None:
        self._pil = pil
        self._size = size
        self.first = Font(pil.ImageFont.load_default(size))
        self._opened = [self.first]
        self._unopened = self._found()
        self._shapes = bool(pil.features.check("raqm"))

    def font_for(self, text: str) -> Font | None:
        """The first one that can draw a short text; None if none can."""
        if not self._shapes and any(map(_needs_shaping, text)):
            return None
        for font in self._opened:
            if font.has(text):
                return font
        for font in self._unopened:
            self._opened.append(font)
            if font.has(text):
                return font
        return None

    def _found(self) -> Iterator[Font]:
        files = (path for folder in FOLDERS for path in _files(folder))
        for path in sorted(files, key=_order):
            font = self._open(path)
            if font is not None:
                yield font

    def _open(self, path: Path) -> Font | None:
        for size in (self._size, *_FIXED_SIZES):
            try:
                font = Font(self._pil.ImageFont.truetype(str(path), size), self._size / size)
                font.has("x")
            except OSError:
                continue
            return font
        return None


@functools.cache
def _files(folder: str) -> tuple[Path, ...]:
    found = (
        Path(where, name)
        for where, _, names in os.walk(Path(folder).expanduser())
        for name in names
        if name.lower().endswith(_ENDINGS)
    )
    return tuple(itertools.islice(found, _MOST_FILES))


def _order(path: Path) -> tuple[int, bool, str]:
    name = path.stem.lower()
    return sum(word in name for word in _LATER), "sans" not in name, name


def _needs_shaping(character: str) -> bool:
    """Written from right to left, which takes a layout engine."""
    return unicodedata.bidirectional(character) in ("R", "AL")
