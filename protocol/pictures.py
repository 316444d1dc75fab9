"""What kind of file bytes are, by how they begin: for taking pictures, and for saying what came.

Knows the first bytes of formats, decodes nothing.
"""

from __future__ import annotations

WIRE_PICTURES = ("JPEG", "PNG", "WebP")
"""The kinds of picture that go over the wire."""

_STARTS = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF8", "GIF"),
    (b"BM", "BMP"),
    (b"II*\0", "TIFF"),
    (b"MM\0*", "TIFF"),
    (b"\xff\x0a", "JPEG XL"),
    (b"\0\0\0\x0cJXL ", "JPEG XL"),
    (b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (b"8BPS", "Photoshop"),
    (b"%PDF", "PDF"),
    (b"\x1aE\xdf\xa3", "WebM or Matroska"),
    (b"PK\x03\x04", "ZIP"),
    (b"\0\x05\x16\x07", "AppleDouble"),
)
_BRANDS = {  # ISO/IEC 14496-12, 4.3, and 23008-12, annex B
    **dict.fromkeys((b"avif", b"avis"), "AVIF"),
    **dict.fromkeys((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx"), "HEIC"),
    **dict.fromkeys((b"mif1", b"msf1"), "HEIF"),
}


def picture_kind(data: bytes) -> str | None:
    """`JPEG`, `PNG`, `WebP`, or another format's name; None where the bytes tell nothing."""
    if data.startswith(b"RIFF") and data[8:12] == b"WEBP":
        return "WebP"
    if data[4:8] == b"ftyp":
        brands = [data[8:12], *(data[at : at + 4] for at in range(16, _box_end(data), 4))]
        known = sorted({_BRANDS[brand] for brand in brands if brand in _BRANDS})
        return known[0] if known else "MP4 or MOV"  # "HEIF" says least, and comes last
    for start, kind in _STARTS:
        if data.startswith(start):
            return kind
    beginning = data[:256].lstrip().lower()
    if beginning.startswith((b"<svg", b"<?xml")):
        return "SVG or XML"
    if beginning.startswith((b"<!doctype", b"<html")):
        return "HTML"
    return None


def _box_end(data: bytes) -> int:
    return min(int.from_bytes(data[:4], "big"), len(data), 128)
