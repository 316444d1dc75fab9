"""A contact sheet: one picture that shows a whole stream. Needs the extra `video` (Pillow).

Holds a bounded sample however long the stream is: every n-th frame, n doubling whenever the
sample is full, and the first frame of each new prompt.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.frames import Frame

from .base import VIDEO_EXTRA

_GAP = 8
_CAPTION_LINES = 2
_FONT_SIZE = 14
_LINE = 18
_DARK, _LIGHT = (18, 18, 20), (225, 225, 225)


@dataclass(frozen=True, slots=True)
class _Shot:
    number: int  # in the order of arrival
    frame: Frame
    prompt: str | None


class ContactSheetSaver:
    """Writes a grid of frames, captioned with index and prompt.

    Args:
        path: PNG or JPEG; replaced if it is there, by a whole picture or not at all.
        tiles: pictures on the sheet, at most.
        tile_width: pixels.

    Raises:
        SaveError: Pillow is not installed.
    """

    def __init__(self, path: Path, *, tiles: int = 12, tile_width: int = 320) -> None:
        try:
            import PIL.Image
            import PIL.ImageDraw
            import PIL.ImageFont
        except ImportError:
            raise SaveError(f"saving {path.name} needs Pillow", hint=VIDEO_EXTRA) from None
        self.path = path
        self._pil: Any = PIL
        self._tiles = tiles
        self._tile_width = tile_width
        self._spread: list[_Shot] = []
        self._stride = 1
        self._turns: list[_Shot] = []
        self._last: _Shot | None = None
        self._seen = 0

    def open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise SaveError(f"{self.path}: {error.strerror or error}") from error

    def write(self, frame: Frame, prompt: str | None) -> None:
        shot = _Shot(self._seen, frame, prompt)
        if self._last is not None and prompt != self._last.prompt:
            self._turns.append(shot)
            if len(self._turns) > self._tiles:
                del self._turns[1::2]
        if self._seen % self._stride == 0:
            self._spread.append(shot)
            if len(self._spread) >= 4 * self._tiles:
                del self._spread[1::2]
                self._stride *= 2
        self._last = shot
        self._seen += 1

    def close(self) -> None:
        shots = self._chosen()
        if not shots:
            return
        partial = self.path.with_name(f"{self.path.stem}.part{self.path.suffix}")
        try:
            self._draw(shots).save(partial)
            partial.replace(self.path)
        except OSError as error:
            partial.unlink(missing_ok=True)
            raise SaveError(f"{self.path}: {error.strerror or error}") from error

    def _chosen(self) -> list[_Shot]:
        """First, last, turns, and the rest spread evenly; in the order of arrival."""
        if self._last is None:
            return []
        turns = self._turns[:: math.ceil(len(self._turns) / max(1, self._tiles // 2)) or 1]
        ends = [self._spread[0], self._last]
        chosen = {id(shot): shot for shot in (*ends, *turns)}
        pool = [shot for shot in self._spread if id(shot) not in chosen]
        room = max(0, self._tiles - len(chosen))
        for number in range(min(room, len(pool))):
            shot = pool[(2 * number + 1) * len(pool) // (2 * min(room, len(pool)))]
            chosen[id(shot)] = shot
        return sorted(chosen.values(), key=lambda shot: shot.number)

    def _draw(self, shots: list[_Shot]) -> Any:
        pictures = [self._thumbnail(shot.frame) for shot in shots]
        columns = min(4, len(shots))
        rows = math.ceil(len(shots) / columns)
        high = max(picture.height for picture in pictures)
        step_x = self._tile_width + _GAP
        step_y = high + _CAPTION_LINES * _LINE + _GAP
        sheet = self._pil.Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), _DARK)
        draw = self._pil.ImageDraw.Draw(sheet)
        font = self._pil.ImageFont.load_default(_FONT_SIZE)
        for number, (shot, picture) in enumerate(zip(shots, pictures, strict=True)):
            x = _GAP + number % columns * step_x
            y = _GAP + number // columns * step_y
            sheet.paste(picture, (x, y))
            for line, text in enumerate(_caption(shot)):
                fitted = _fit(text, self._tile_width, lambda t: draw.textlength(t, font))
                draw.text((x, y + picture.height + 2 + line * _LINE), fitted, _LIGHT, font)
        return sheet

    def _thumbnail(self, frame: Frame) -> Any:
        try:
            picture = self._pil.Image.open(io.BytesIO(frame.jpeg)).convert("RGB")
        except OSError as error:
            raise SaveError(f"frame {frame.index} is no picture") from error
        height = max(1, round(picture.height * self._tile_width / picture.width))
        return picture.resize((self._tile_width, height))


def _caption(shot: _Shot) -> list[str]:
    block = "" if shot.frame.block is None else f", block {shot.frame.block}"
    return [f"frame {shot.frame.index}{block}", shot.prompt or ""]


def _fit(text: str, width: int, measure: Any) -> str:
    if measure(text) <= width:
        return text
    while text and measure(text + "…") > width:
        text = text[:-1]
    return text + "…"
