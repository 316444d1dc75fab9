"""Animated GIFs, frame by frame with a palette each. Needs the extra `video` (PyAV).

Holds two frames however long the stream is. The palette is made from the frame at a fifth of the
width: a quarter of the time of the whole, for 0.2 dB.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from framewire.client.frames import Frame

from .base import Saved
from .decoding import JpegDecoder, load_av, rate_of
from .media_file import MediaFile

_PALETTE_WIDTH = 160
_TICKS = 100  # GIF's clock, in a second
_SHORTEST = 2  # ticks; players show what is shorter five times as long


class GifSaver:
    """Writes a GIF that loops. All frames get the size of the first.

    Args:
        path: the file; replaced if it is there, once the new one is done.
        fps: frames a second; GIF counts in hundredths of a second, so that single frames are
            rounded, the whole is not. Above 50 frames are left out, so that it lasts as long.

    Raises:
        SaveError: PyAV is not installed.
    """

    def __init__(self, path: Path, *, fps: float = 16.0) -> None:
        self.path = path
        self.saved: Saved | None = None
        self._rate = rate_of(fps)
        self._av = load_av(path)
        self._file = MediaFile(path, self._av, "gif", {"flush_packets": "1"})
        self._graph: Any = None
        self._shape: tuple[int, int, str] = (0, 0, "")
        self._seen = self._kept = self._left_out = 0
        self._shown_at: int | None = None

    def open(self) -> None:
        self._file.open()
        self._decoder = JpegDecoder(self._av)

    def write(self, frame: Frame, prompt: str | None) -> None:
        picture = self._decoder.decode(frame)
        at = round(_TICKS * self._seen / self._rate)
        self._seen += 1
        if self._shown_at is not None and at - self._shown_at < _SHORTEST:
            self._left_out += 1
            return
        self._shown_at = at
        if self._graph is None:
            self._begin(picture)
        width, height, form = self._shape
        if (picture.width, picture.height, picture.format.name) != self._shape:
            picture = picture.reformat(width=width, height=height, format=form)
        picture.pts = at
        picture.time_base = Fraction(1, _TICKS)
        self._graph.push(picture)
        self._file.add(self._graph.pull())
        self._kept += 1

    def close(self) -> None:
        done = self._file.close(self._kept)
        if done is not None:
            frames, size = done
            said = f"{self._left_out} frames left out: a GIF has at most 50 a second"
            notes = (said,) if self._left_out else ()
            seconds = float((frames + self._left_out) / self._rate)
            self.saved = Saved(self.path, frames, seconds, size, self._file.is_file, notes)
        if self._file.failure is not None:
            raise self._file.failure

    def _begin(self, first: Any) -> None:
        self._shape = (first.width, first.height, first.format.name)
        # The track's rate is what the last frame's delay is made of.
        rate = min(self._rate, Fraction(_TICKS, _SHORTEST))
        self._file.begin("gif", rate, self._palette_track)
        graph = self._av.filter.Graph()
        source = graph.add_buffer(
            width=first.width,
            height=first.height,
            format=first.format,
            time_base=Fraction(1, _TICKS),
        )
        split = graph.add("split")
        small = graph.add("scale", f"{min(_PALETTE_WIDTH, first.width)}:-1")
        palette = graph.add("palettegen", "stats_mode=single")
        paint = graph.add("paletteuse", "new=1:dither=bayer:bayer_scale=3")
        source.link_to(split)
        split.link_to(paint, 0, 0)
        split.link_to(small, 1, 0)
        small.link_to(palette)
        palette.link_to(paint, 0, 1)
        paint.link_to(graph.add("buffersink"))
        graph.configure()
        self._graph = graph

    def _palette_track(self, stream: Any) -> None:
        stream.width, stream.height, _ = self._shape
        stream.pix_fmt = "pal8"
        stream.codec_context.time_base = Fraction(1, _TICKS)
