"""A contact sheet: one picture that shows a whole stream. Needs the extra `video` (Pillow).

Holds a bounded sample however long the stream is: every n-th frame, n doubling whenever the
sample is full, and the first frame of each new prompt; each of them as small as it is shown.
"""

from __future__ import annotations

import io
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.frames import Frame
from framewire.protocol.picture_header import judge_picture

from .base import VIDEO_EXTRA, Saved
from .captions import CaptionPen
from .decoding import BOUNDS
from .output_file import OutputFile, save_error

_GAP = 8
_CAPTION_LINES = 2
_FONT_SIZE = 14
_LINE = 18
_TALLEST = 2  # times the width of a tile; a picture that is taller is made narrower
_NAMED = 5  # unreadable frames that are told by number
_DARK, _LIGHT = (18, 18, 20), (225, 225, 225)


@dataclass(frozen=True, slots=True)
class _Shot:
    number: int  # in the order of arrival
    index: int
    block: int | None
    prompt: str | None
    picture: Any  # Pillow's, as small as its tile


class ContactSheetSaver:
    """Writes a grid of frames, captioned with index and prompt.

    A frame that is no picture is left out and told of; it ends nothing.

    Args:
        path: PNG or JPEG; replaced if it is there, by a whole picture or not at all.
        tiles: pictures on the sheet, at most.
        tile_width: pixels.

    Raises:
        SaveError: Pillow is not installed.
    """

    def __init__(self, path: Path, *, tiles: int = 12, tile_width: int = 320) -> None:
        try:
            import PIL.features
            import PIL.Image
            import PIL.ImageDraw
            import PIL.ImageFont
            import PIL.JpegImagePlugin
        except ImportError:
            raise SaveError(f"saving {path.name} needs Pillow", hint=VIDEO_EXTRA) from None
        self.path = path
        self.saved: Saved | None = None
        self._pil: Any = PIL
        self._file = OutputFile(path)
        self._tiles = tiles
        self._tile_width = tile_width
        self._spread: list[_Shot] = []
        self._stride = 1
        self._turns: list[_Shot] = []
        self._last: tuple[Frame, str | None] | None = None
        self._seen = 0
        self._unreadable: list[int] = []

    def open(self) -> None:
        self._file.open()

    def write(self, frame: Frame, prompt: str | None) -> None:
        is_turn = self._last is not None and prompt != self._last[1]
        is_due = self._seen % self._stride == 0
        self._last = (frame, prompt)
        shot = self._shot(frame, prompt, self._seen) if is_turn or is_due else None
        self._seen += 1
        if shot is None:
            return
        if is_turn:
            self._turns.append(shot)
            if len(self._turns) > self._tiles:
                del self._turns[1::2]
        if is_due:
            self._spread.append(shot)
            if len(self._spread) >= 4 * self._tiles:
                del self._spread[1::2]
                self._stride *= 2

    def close(self) -> None:
        shots = self._chosen()
        if not shots:
            self._file.discard()
            if self._seen:
                raise SaveError(f"{self.path}: none of {self._seen} frames is a picture")
            return
        try:
            kind = "PNG" if self.path.suffix.lower() == ".png" else "JPEG"
            self._draw(shots).save(self._file, kind)
        except (OSError, ValueError) as error:
            self._file.discard()
            raise save_error(self.path, error) from error
        size, is_file = self._file.keep(), self._file.is_file
        self.saved = Saved(self.path, len(shots), None, size, is_file, self._notes())

    def _chosen(self) -> list[_Shot]:
        """First, last, turns, and the rest spread evenly; in the order of arrival."""
        ends = self._spread[:1]
        if self._last is not None:
            last = self._shot(*self._last, self._seen - 1)
            ends += [last] if last is not None else self._spread[-1:]
        turns = self._turns[:: math.ceil(len(self._turns) / max(1, self._tiles // 2)) or 1]
        chosen = {shot.number: shot for shot in (*ends, *turns)}
        pool = [shot for shot in self._spread if shot.number not in chosen]
        room = max(0, self._tiles - len(chosen))
        for number in range(min(room, len(pool))):
            shot = pool[(2 * number + 1) * len(pool) // (2 * min(room, len(pool)))]
            chosen[shot.number] = shot
        return sorted(chosen.values(), key=lambda shot: shot.number)

    def _draw(self, shots: list[_Shot]) -> Any:
        columns = min(4, len(shots))
        rows = math.ceil(len(shots) / columns)
        high = max(shot.picture.height for shot in shots)
        step_x = self._tile_width + _GAP
        step_y = high + _CAPTION_LINES * _LINE + _GAP
        sheet = self._pil.Image.new("RGB", (columns * step_x + _GAP, rows * step_y + _GAP), _DARK)
        pen = CaptionPen(self._pil, _FONT_SIZE)
        for number, shot in enumerate(shots):
            x = _GAP + number % columns * step_x
            y = _GAP + number // columns * step_y
            sheet.paste(shot.picture, (x, y))
            for line, text in enumerate(_caption(shot)):
                at = (x, y + shot.picture.height + 2 + line * _LINE)
                pen.write(sheet, at, text, self._tile_width, _LIGHT)
        return sheet

    def _shot(self, frame: Frame, prompt: str | None, number: int) -> _Shot | None:
        """The frame as it is shown; None if it is no picture, which is noted."""
        try:
            picture = self._thumbnail(frame.jpeg)
        except (OSError, ValueError, SyntaxError, struct.error):  # as Pillow's decoders raise
            if frame.index not in self._unreadable[-1:]:
                self._unreadable.append(frame.index)
            return None
        return _Shot(number, frame.index, frame.block, prompt, picture)

    def _thumbnail(self, jpeg: bytes) -> Any:
        judge_picture(jpeg, BOUNDS)
        picture = self._pil.JpegImagePlugin.JpegImageFile(io.BytesIO(jpeg))
        width, height = picture.size
        scale = min(self._tile_width / width, _TALLEST * self._tile_width / height)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        picture.draft("RGB", (2 * size[0], 2 * size[1]))  # decode no more than is needed
        return picture.convert("RGB").resize(size)

    def _notes(self) -> tuple[str, ...]:
        if not self._unreadable:
            return ()
        named = ", ".join(map(str, self._unreadable[:_NAMED]))
        more = len(self._unreadable) - _NAMED
        others = f" and {more} more" if more > 0 else ""
        return (f"left out, being no pictures: frame {named}{others}",)


def _caption(shot: _Shot) -> list[str]:
    block = "" if shot.block is None else f", block {shot.block}"
    return [f"frame {shot.index}{block}", shot.prompt or ""]
