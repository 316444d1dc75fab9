"""Animated GIFs, frame by frame with a palette each. Needs the extra `video` (PyAV).

Holds two frames however long the stream is. The palette is made from the frame at a fifth of the
width: a quarter of the time of the whole, for 0.2 dB.
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.frames import Frame

from .decoding import JpegDecoder, load_av

_PALETTE_WIDTH = 160


class GifSaver:
    """Writes a GIF that loops. All frames get the size of the first.

    Args:
        path: the file; replaced if it is there.
        fps: frames a second; GIF counts in hundredths of a second, so that single frames are
            rounded, the whole is not. Above 50 browsers play slower.

    Raises:
        SaveError: PyAV is not installed.
    """

    def __init__(self, path: Path, *, fps: float = 16.0) -> None:
        if not 0 < fps <= 100:
            raise SaveError(f"a GIF of {fps:g} frames a second; more than 0, at most 100")
        self.path = path
        self._av = load_av(path)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._container: Any = None
        self._stream: Any = None
        self._decoder: Any = None
        self._graph: Any = None
        self._shape: tuple[int, int, str] = (0, 0, "")
        self._count = 0

    def open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = self._av.open(
                str(self.path), "w", format="gif", options={"flush_packets": "1"}
            )
        except OSError as error:
            raise self._failed(error) from error
        self._decoder = JpegDecoder(self._av)

    def write(self, frame: Frame, prompt: str | None) -> None:
        picture = self._decoder.decode(frame)
        try:
            self._add(picture)
        except (OSError, ValueError) as error:  # PyAV's own errors are one or the other
            raise self._failed(error) from error

    def close(self) -> None:
        if self._container is None:
            return
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
            self._container.close()
        except OSError as error:
            raise self._failed(error) from error

    def _add(self, picture: Any) -> None:
        if self._graph is None:
            self._begin(picture)
        width, height, form = self._shape
        if (picture.width, picture.height, picture.format.name) != self._shape:
            picture = picture.reformat(width=width, height=height, format=form)
        picture.pts = self._count
        picture.time_base = 1 / self._rate
        self._count += 1
        self._graph.push(picture)
        self._container.mux(self._stream.encode(self._graph.pull()))

    def _begin(self, first: Any) -> None:
        self._shape = (first.width, first.height, first.format.name)
        self._stream = self._container.add_stream("gif", rate=self._rate)
        self._stream.width, self._stream.height = first.width, first.height
        self._stream.pix_fmt = "pal8"
        graph = self._av.filter.Graph()
        source = graph.add_buffer(
            width=first.width,
            height=first.height,
            format=first.format,
            time_base=1 / self._rate,
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

    def _failed(self, error: Exception) -> SaveError:
        return SaveError(f"{self.path}: {getattr(error, 'strerror', None) or error}")
