"""What a JPEG says of itself: whether it is whole, its size, its colour subsampling.

Reads markers only (ITU-T T.81, annex B); no pixel is decoded, so no imaging library is needed.
"""

from __future__ import annotations

from dataclasses import dataclass

_START, _END = b"\xff\xd8", b"\xff\xd9"
_SCAN = 0xDA
_FRAME_HEADERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass(frozen=True, slots=True)
class JpegHeader:
    """Size in pixels; `sampling` is horizontal x vertical of each component, `2x2 1x1 1x1`."""

    width: int
    height: int
    sampling: str


def read_jpeg_header(data: bytes) -> JpegHeader:
    """The header of a whole JPEG.

    Raises:
        ValueError: it is no JPEG, or not a whole one.
    """
    if not data.startswith(_START):
        raise ValueError(f"begins with {data[:2].hex(' ') or 'nothing'}, not with ff d8")
    if not data.endswith(_END):
        raise ValueError("does not end with ff d9")
    found: JpegHeader | None = None
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != _SCAN:
        size = int.from_bytes(data[at + 2 : at + 4], "big")
        body = data[at + 4 : at + 2 + size]
        if data[at + 1] in _FRAME_HEADERS and len(body) >= 6 + 3 * body[5]:
            parts = [body[7 + 3 * n] for n in range(body[5])]
            found = JpegHeader(
                width=int.from_bytes(body[3:5], "big"),
                height=int.from_bytes(body[1:3], "big"),
                sampling=" ".join(f"{part >> 4}x{part & 15}" for part in parts),
            )
        at += 2 + size
    if found is None or data[at : at + 2] != bytes((0xFF, _SCAN)):
        raise ValueError("has no frame header and scan")
    return found
