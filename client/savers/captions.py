"""One line of text in any script onto a picture, never wider than it may be.

What no font of the machine has is spelled out (`U+1F98A`): a box tells nobody anything.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from .fonts import INVISIBLE, Font, Fonts

_MOST = 400  # characters that are looked at; far more than fit
_MORE = "…"
_SPACES = re.compile(" +")
_MARKS = ("Mn", "Mc", "Me")
_UNSHOWN = ("Cc", "Cf", "Cs")

Piece = tuple[str, Font]


class CaptionPen:
    """Writes lines of one size.

    Args:
        pil: Pillow, with `Image`, `ImageDraw`, `ImageFont` and `features`.
        size: of the letters, in pixels.
    """

    def __init__(self, pil: Any, size: int) -> None:
        self._pil = pil
        self._size = size
        self._fonts = Fonts(pil, size)

    def write(
        self, sheet: Any, at: tuple[int, int], text: str, width: int, colour: tuple[int, int, int]
    ) -> None:
        """Write a line at the upper left corner `at`, cut to `width` pixels."""
        line = self._fitted(text, width)
        x, baseline = float(at[0]), at[1] + self._size
        for piece, font in line:
            self._draw(sheet, (x, baseline), piece, font, colour)
            x += _length(piece, font)

    def _fitted(self, text: str, width: int) -> list[Piece]:
        units = list(_units(one_line(text[:_MOST])))
        line = self._pieces(units)
        if _width(line) <= width and len(text) <= _MOST:
            return line
        low, high = 0, len(units)
        while low < high:  # the most units that fit, by halves
            middle = (low + high + 1) // 2
            if _width(self._pieces([*units[:middle], _MORE])) <= width:
                low = middle
            else:
                high = middle - 1
        return self._pieces([*units[:low], _MORE])

    def _pieces(self, units: Sequence[str]) -> list[Piece]:
        """In the order in which they stand on the line, from the left."""
        chosen = [self._chosen(unit) for unit in units]
        for at, (text, _) in enumerate(chosen):
            # A space is its words' where they share a font, which then lays them out together.
            if text.isspace() and 0 < at < len(chosen) - 1:
                before, after = chosen[at - 1][1], chosen[at + 1][1]
                shared = before is after and before.scale == 1
                chosen[at] = (text, before if shared else self._fonts.first)
        joined = [
            (_SPACES.sub(" ", "".join(text for text, _ in group)), font)
            for font, group in groupby(chosen, key=lambda piece: piece[1])
        ]
        if joined:
            joined[0] = (joined[0][0].lstrip(" "), joined[0][1])
        return joined[::-1] if _runs_leftwards(units) else joined

    def _chosen(self, unit: str) -> Piece:
        font = self._fonts.font_for(unit)
        return (f" {_spelled(unit)} ", self._fonts.first) if font is None else (unit, font)

    def _draw(self, sheet: Any, at: tuple[float, int], text: str, font: Font, colour: Any) -> None:
        if font.scale == 1:
            self._pil.ImageDraw.Draw(sheet).text(at, text, colour, font.pil, anchor="ls")
            return
        left, top, right, bottom = font.pil.getbbox(text, anchor="ls")
        if right <= left or bottom <= top:
            return
        large = self._pil.Image.new("RGBA", (right - left, bottom - top))
        draw = self._pil.ImageDraw.Draw(large)
        draw.text((-left, -top), text, colour, font.pil, anchor="ls", embedded_color=True)
        size = [max(1, round(side * font.scale)) for side in large.size]
        small = large.resize(size)
        sheet.paste(small, (round(at[0]), round(at[1] + top * font.scale)), small)


def one_line(text: str) -> str:
    """Without line breaks, tabs and what only steers a terminal or the direction of writing."""
    shown = (
        one if one in INVISIBLE or unicodedata.category(one) not in _UNSHOWN else _in_place(one)
        for one in text
    )
    return " ".join("".join(shown).split())


def _in_place(character: str) -> str:
    category = unicodedata.category(character)
    if category == "Cc":
        return " "
    return "" if category == "Cf" else f" {_spelled(character)} "


def _units(text: str) -> Iterator[str]:
    """What a reader takes for one character: a letter with its marks, a joined emoji, a flag."""
    unit = ""
    for one in text:
        if unit and _belongs(unit, one):
            unit += one
            continue
        if unit:
            yield unit
        unit = one
    if unit:
        yield unit


def _belongs(unit: str, one: str) -> bool:
    if one in INVISIBLE or unit[-1] == "\u200d" or unicodedata.category(one) in _MARKS:
        return True
    if "\U0001f3fb" <= one <= "\U0001f3ff":  # a skin's colour
        return True
    return _is_flag(one) and len(unit) == 1 and _is_flag(unit)


def _is_flag(one: str) -> bool:
    return "\U0001f1e6" <= one <= "\U0001f1ff"


def _spelled(unit: str) -> str:
    return " ".join(f"U+{ord(one):04X}" for one in unit if one not in INVISIBLE)


def _runs_leftwards(units: Sequence[str]) -> bool:
    """Whether the first letter is one that is written from right to left."""
    for unit in units:
        direction = unicodedata.bidirectional(unit[0])
        if direction in ("L", "R", "AL"):
            return direction != "L"
    return False


def _length(text: str, font: Font) -> float:
    return float(font.pil.getlength(text)) * font.scale


def _width(line: list[Piece]) -> float:
    return sum(_length(piece, font) for piece, font in line)
