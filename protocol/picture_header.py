"""How large a picture is, and how much work, from its header: judged before anything is decoded.

For both sides: the worker judges what viewers send, the client what servers send. Decodes nothing
and takes no memory; a header that lies about its pixels is the decoder's to refuse.
"""

from __future__ import annotations

import re
import struct
from dataclasses import dataclass

from .limits import MAX_LIVE_PIXELS, MAX_LIVE_SCANS, MAX_PICTURE_PIXELS, MAX_PICTURE_SCANS

# In a JPEG's coded data 0xff is followed by 0 or by a restart marker; only other markers have
# something to say, all but SOI, EOI and TEM with a length (ITU-T T.81, B.1.1).
_MARKER = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")
_SOF = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}  # but DHT, JPG, DAC
_SOS, _EOI = 0xDA, 0xD9
_SEGMENTS = 4096
_STRIDE = 1 << 20  # searched at a time: other threads may run in between


class PictureRefused(ValueError):
    """This picture is not decoded; the message is one line for its sender."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a picture may have at most: pixels, and scans (passes over a progressive JPEG)."""

    pixels: int
    scans: int


START_FRAME = Bounds(MAX_PICTURE_PIXELS, MAX_PICTURE_SCANS)
LIVE = Bounds(MAX_LIVE_PIXELS, MAX_LIVE_SCANS)


@dataclass(frozen=True, slots=True)
class PictureHeader:
    """Kind (JPEG, PNG, WebP or GIF), size in pixels as stored, and a JPEG's scans."""

    kind: str
    width: int
    height: int
    scans: int = 1


def judge_picture(data: bytes, bounds: Bounds) -> PictureHeader | None:
    """The header of the picture in `data`; None where it is of no known kind.

    Raises:
        PictureRefused: it exceeds `bounds`.
    """
    header = read_header(data, bounds.scans + 1)
    if header is None:
        return None
    width, height = header.width, header.height
    if width * height > bounds.pixels:
        raise PictureRefused(
            f"{width}x{height} is {width * height / 1e6:.0f} megapixels; "
            f"at most {bounds.pixels // 1_000_000}"
        )
    if header.scans > bounds.scans:
        raise PictureRefused(f"a JPEG of more than {bounds.scans} scans")
    return header


def read_header(data: bytes, scans: int = 1) -> PictureHeader | None:
    """The header of the picture in `data`, of a JPEG up to so many `scans`; None where it has none.

    Raises:
        PictureRefused: it is a JPEG in more pieces than any picture has.
    """
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data, scans)
    if data.startswith(b"\x89PNG\r\n\x1a\n") and len(data) >= 24:
        return PictureHeader("PNG", *struct.unpack(">II", data[16:24]))
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return PictureHeader("WebP", *_webp_canvas(data))
    if data.startswith((b"GIF87a", b"GIF89a")) and len(data) >= 10:
        return PictureHeader("GIF", *struct.unpack("<HH", data[6:10]))
    return None


def _jpeg(data: bytes, most_scans: int) -> PictureHeader:
    """Size and scans as a decoder would find them; of several sizes the largest."""
    at, scans, width, height = 2, 0, 0, 0
    for _ in range(_SEGMENTS):
        at = _next_marker(data, at)
        marker = data[at + 1 : at + 2]
        if not marker or marker[0] == _EOI:
            break
        if marker[0] in _SOF:
            size = struct.unpack(">HH", data[at + 5 : at + 9].ljust(4, b"\0"))
            if size[0] * size[1] >= width * height:
                height, width = size
        scans += marker[0] == _SOS
        if scans >= most_scans:
            break
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    else:
        raise PictureRefused(f"a JPEG of more than {_SEGMENTS} segments")
    return PictureHeader("JPEG", width, height, scans)


def _next_marker(data: bytes, at: int) -> int:
    """Where the next marker begins; the end of `data` where none does."""
    for start in range(at, len(data), _STRIDE):
        found = _MARKER.search(data, start, start + _STRIDE + 1)
        if found is not None:
            return found.start()
    return len(data)


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """Width and height in a WebP header (RFC 9649, sections 2.5 to 2.7, and RFC 6386, 9.1)."""
    kind, head = data[12:16], data[20:30].ljust(10, b"\0")
    if kind == b"VP8X":
        return (
            1 + int.from_bytes(head[4:7], "little"),
            1 + int.from_bytes(head[7:10], "little"),
        )
    if kind == b"VP8L":
        bits = int.from_bytes(head[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack("<HH", head[6:10])
    return width & 0x3FFF, height & 0x3FFF
