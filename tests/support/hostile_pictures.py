"""Small files that cost whoever decodes them much: memory or time."""

import io
import struct
import zlib
from functools import cache

from PIL import Image


@cache
def jpeg_of_scans(scans: int, size: tuple[int, int] = (64, 64)) -> bytes:
    """A progressive JPEG whose last scan comes again and again, each a pass over all of it."""
    data = io.BytesIO()
    Image.new("RGB", size, (90, 120, 30)).save(data, "JPEG", progressive=True)
    whole = data.getvalue()
    last = whole.rindex(b"\xff\xda")
    there = whole.count(b"\xff\xda")
    return whole[:-2] + whole[last:-2] * (scans - there) + b"\xff\xd9"


def jpeg_of_size(width: int, height: int) -> bytes:
    """A small JPEG whose header is changed to claim another size."""
    whole = io.BytesIO()
    Image.new("RGB", (16, 16)).save(whole, "JPEG")
    data = bytearray(whole.getvalue())
    at = data.index(b"\xff\xc0")
    data[at + 5 : at + 9] = struct.pack(">HH", height, width)
    return bytes(data)


def png_of_size(width: int, height: int, *, rows: int = 0) -> bytes:
    """A PNG of one colour, of which only some rows are there."""

    def chunk(kind: bytes, body: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + body))
        return struct.pack(">I", len(body)) + kind + body + check

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    packer = zlib.compressobj(9)
    body = b"".join(packer.compress(bytes(1 + 3 * width)) for _ in range(rows)) + packer.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def webp_header(kind: bytes, head: bytes) -> bytes:
    """A WebP of one chunk."""
    chunk = kind + struct.pack("<I", len(head)) + head
    return b"RIFF" + struct.pack("<I", 4 + len(chunk)) + b"WEBP" + chunk


def webp_of_size(width: int, height: int) -> bytes:
    """An extended WebP that says how large it is and holds nothing."""
    sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    return webp_header(b"VP8X", b"\0\0\0\0" + sides)


def gif_of_size(width: int, height: int) -> bytes:
    """A GIF of 35 bytes: a large screen and one pixel on it."""
    screen = struct.pack("<HHBBB", width, height, 0x80, 0, 0)
    return (
        b"GIF89a" + screen + bytes(6) + b"," + struct.pack("<HHHHB", 0, 0, 1, 1, 0)
        + b"\x02\x02\x44\x01\x00;"
    )  # fmt: skip
