"""Decoded frames turned into pictures as a player shows them, by FFmpeg's filters.

Deinterlaced, of standard range and gamut, transparency over black, upright or mirrored as the
display matrix says, with square pixels, RGB.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from .pictures import Size, scale_for

_HDR = {16: "HDR (PQ)", 18: "HDR (HLG)"}  # ITU-T H.273, transfer characteristics
_WIDE = {9: "BT.2020", 11: "DCI-P3", 12: "Display P3"}  # H.273, colour primaries
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


@dataclass
class AsShown:
    """Turns the frames of one video into RGB pictures.

    Attributes:
        covers: width and height that pictures are not scaled down below.
        changes: what was done, in words, each once.
    """

    covers: Size | None = None
    changes: list[str] = field(default_factory=list)
    _look: _Look | None = None
    _graph: Any = None

    def size(self, frame: Any, aspect: float) -> Size:
        """Width and height of the picture that `take` makes of a frame; what it does is noted.

        No picture is made: the table that maps HDR takes FFmpeg seconds, whatever the size.
        """
        look = _look_of(frame, aspect, frame.interlaced_frame)
        self._note(look)
        (width, height), _ = _size(look, self.covers)
        return (height, width) if "transpose" in look.orientation else (width, height)

    def take(self, frame: Any, aspect: float) -> Iterator[Any]:
        """The pictures that are ready once `frame` is there: PyAV frames in rgb24, with times.

        Args:
            aspect: width of a pixel over its height, as far as it is known.
        """
        interlaced = frame.interlaced_frame or (self._look is not None and self._look.interlaced)
        look = _look_of(frame, aspect, interlaced)
        if look != self._look:
            yield from self.rest()
            self._note(look)
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

    def _note(self, look: _Look) -> None:
        for _, _, said in _steps(look, self.covers):
            if said and said not in self.changes:
                self.changes.append(said)

    def _built(self, look: _Look) -> Any:
        from av.filter import Graph

        graph = Graph()
        last = graph.add(
            "buffer",
            f"video_size={look.width}x{look.height}:pix_fmt={look.format}:"
            f"time_base={look.time_base}:colorspace={look.matrix}:range={look.range}",
        )
        for name, arguments, _ in _steps(look, self.covers):
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


def _steps(look: _Look, covers: Size | None) -> Iterator[tuple[str, str, str]]:
    """The filters in order: name, arguments, and what to say of it."""
    if assumed := _assumed(look):
        yield "setparams", assumed, ""
    if look.interlaced:
        yield "bwdif", "mode=send_frame:deint=interlaced", "deinterlaced"
    if look.transfer in _HDR or look.primaries in _WIDE:
        said = _HDR.get(look.transfer) or _WIDE[look.primaries]
        verb = "tone-mapped to" if look.transfer in _HDR else "brought into"
        target = "out_primaries=bt709:out_transfer=bt709:out_color_matrix=bt709:out_range=tv"
        yield "scale", f"{target}:intent=perceptual", f"{said} {verb} BT.709"
        yield "format", "yuv444p", ""
    if look.has_alpha:
        yield "format", "gbrap", ""
        yield "premultiply", "inplace=1", "transparency laid over black"
        yield "format", "gbrp", ""
    size, said = _size(look, covers)
    if size != (look.width, look.height):
        yield "scale", f"{size[0]}:{size[1]}:flags=lanczos", said
    turned = "mirrored" if look.orientation == ("hflip",) else "turned"
    for step in look.orientation:
        yield step, "", f"{turned} as its header says"
    yield "scale", f"flags={_EXACT}", ""
    yield "format", "rgb24", ""


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


def _size(look: _Look, covers: Size | None) -> tuple[Size, str]:
    """Width and height with square pixels, not turned yet, and what to say of them."""
    width, height = look.width * max(look.aspect, 1.0), look.height / min(look.aspect, 1.0)
    if covers is not None and "transpose" in look.orientation:
        covers = covers[1], covers[0]
    scale = scale_for((round(width), round(height)), covers)
    size = max(1, round(width * scale)), max(1, round(height * scale))
    if scale < 1:
        return size, f"scaled down from {round(width)}x{round(height)}"
    return size, f"pixels made square, {size[0]}x{size[1]} of {look.width}x{look.height}"
