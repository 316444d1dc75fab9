"""Decoded frames turned into pictures as a player shows them, by FFmpeg's filters.

Deinterlaced, of standard range and gamut, transparency over black, upright or mirrored as the
display matrix says, with square pixels, RGB. What a file says of itself is bounded here; nothing
grows with it.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

_HDR = (16, 18)  # ITU-T H.273, transfer characteristics: PQ and HLG
_WIDE = (9, 11, 12)  # H.273, colour primaries: BT.2020, DCI-P3, Display P3
_EXACT = "bicubic+accurate_rnd+full_chroma_int"  # FFmpeg's fast way is off by some levels
_UNSPECIFIED = 2
_HD_HEIGHT = 720
_STRETCH = 8  # the most that pixels may be wider than high, or higher than wide


@dataclass(frozen=True, slots=True)
class _Look:
    """What decides how frames are turned into pictures."""

    width: int
    height: int
    format: str
    has_alpha: bool
    is_rgb: bool
    matrix: int
    range: int
    primaries: int
    transfer: int
    orientation: tuple[str, ...]
    aspect: float
    interlaced: bool
    time_base: str


class AsShown:
    """Turns the frames of one video into RGB pictures.

    Args:
        max_pixels: of a picture whose pixels are made square; beyond, they are left as they are.
    """

    def __init__(self, max_pixels: int) -> None:
        self._max_pixels = max_pixels
        self._look: _Look | None = None
        self._graph: Any = None

    def take(self, frame: Any, aspect: float) -> Iterator[Any]:
        """The pictures that are ready once `frame` is there: PyAV frames in rgb24, with times.

        Args:
            aspect: width of a pixel over its height, as the file says.
        """
        interlaced = frame.interlaced_frame or (self._look is not None and self._look.interlaced)
        look = _look_of(frame, aspect, interlaced)
        if look != self._look:
            yield from self.rest()
            self._look, self._graph = look, self._built(look)
        self._graph.push(frame)
        yield from self._ready()

    def rest(self) -> Iterator[Any]:
        """The pictures that were held back to see the next one."""
        if self._graph is not None:
            self._graph.push(None)
            yield from self._ready()
            self._graph = self._look = None

    def _ready(self) -> Iterator[Any]:
        import av

        while True:
            try:
                picture = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            yield picture

    def _built(self, look: _Look) -> Any:
        from av.filter import Graph

        graph = Graph()
        last = graph.add(
            "buffer",
            f"video_size={look.width}x{look.height}:pix_fmt={look.format}:"
            f"time_base={look.time_base}:colorspace={look.matrix}:range={look.range}",
        )
        for name, arguments in _steps(look, self._max_pixels):
            step = graph.add(name, arguments or None)
            last.link_to(step)
            last = step
        end = graph.add("buffersink")
        last.link_to(end)
        graph.configure()
        return graph


def orientation(matrix: bytes | None) -> tuple[str, ...]:
    """The filters that a display matrix asks for; none for upright.

    The matrix is that of ISO/IEC 14496-12, 8.5.2.3: nine 32-bit integers a b u c d v x y w, by
    which (x, y) is shown at (ax + cy, bx + dy). Any angle counts as the nearest quarter turn.
    """
    if matrix is None or len(matrix) < 36:
        return ()
    a, b, _, c, d, *_ = struct.unpack("=9i", matrix[:36])
    turned = abs(b) + abs(c) > abs(a) + abs(d)
    across, down = (c, b) if turned else (a, d)
    asked = {"transpose": turned, "hflip": across < 0, "vflip": down < 0}
    return tuple(name for name, is_asked in asked.items() if is_asked)


def _look_of(frame: Any, aspect: float, interlaced: bool) -> _Look:
    found = frame.side_data.get("DISPLAYMATRIX")
    is_palette = frame.format.name == "pal8"
    return _Look(
        width=frame.width,
        height=frame.height,
        format=frame.format.name,
        has_alpha=is_palette or any(one.is_alpha for one in frame.format.components),
        is_rgb=is_palette or frame.format.is_rgb,
        matrix=int(frame.colorspace),
        range=int(frame.color_range),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        orientation=orientation(None if found is None else bytes(found)),
        aspect=aspect if 1 / _STRETCH <= aspect <= _STRETCH else 1.0,
        interlaced=interlaced,
        time_base=str(frame.time_base),
    )


def _steps(look: _Look, max_pixels: int) -> Iterator[tuple[str, str]]:
    """The filters in order, with their arguments."""
    if assumed := _assumed(look):
        yield "setparams", assumed
    if look.interlaced:
        yield "bwdif", "mode=send_frame:deint=interlaced"
    if look.transfer in _HDR or look.primaries in _WIDE:
        target = "out_primaries=bt709:out_transfer=bt709:out_color_matrix=bt709:out_range=tv"
        yield "scale", f"{target}:intent=perceptual"
        yield "format", "yuv444p"
    if look.has_alpha:
        yield "format", "gbrap"
        yield "premultiply", "inplace=1"
        yield "format", "gbrp"
    width = round(look.width * max(look.aspect, 1.0))
    height = round(look.height / min(look.aspect, 1.0))
    if (width, height) != (look.width, look.height) and width * height <= max_pixels:
        yield "scale", f"{width}:{height}:flags=lanczos"
    for step in look.orientation:
        yield step, ""
    yield "scale", f"flags={_EXACT}"
    yield "format", "rgb24"


def _assumed(look: _Look) -> str:
    """What players take for granted where a file does not say it, as arguments of `setparams`."""
    said = []
    is_hdr = look.transfer in _HDR
    if look.matrix == _UNSPECIFIED and not look.is_rgb:
        if is_hdr:
            said.append("colorspace=bt2020nc")
        elif look.height >= _HD_HEIGHT:
            said.append("colorspace=bt709")
    if look.primaries == _UNSPECIFIED and is_hdr:
        said.append("color_primaries=bt2020")
    return ":".join(said)
