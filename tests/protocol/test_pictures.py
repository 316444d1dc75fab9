"""What kind of file bytes are is told by how they begin."""

import io

import pytest
from PIL import Image

from framewire.protocol.pictures import picture_kind


@pytest.mark.parametrize(
    ("fmt", "kind"),
    [
        ("JPEG", "JPEG"),
        ("PNG", "PNG"),
        ("WEBP", "WebP"),
        ("GIF", "GIF"),
        ("BMP", "BMP"),
        ("TIFF", "TIFF"),
        ("AVIF", "AVIF"),
        ("JPEG2000", "JPEG 2000"),
        ("PDF", "PDF"),
    ],
)
def test_real_files_are_known(fmt: str, kind: str) -> None:
    data = io.BytesIO()
    Image.new("RGB", (16, 16)).save(data, fmt)
    assert picture_kind(data.getvalue()) == kind


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "HEIC"),
        (b"\0\0\0\x1cftypmif1\0\0\0\0mif1heicmiaf", "HEIC"),
        (b"\0\0\0\x14ftypmif1\0\0\0\0mif1", "HEIF"),
        (b"\0\0\0\x18ftypisom\0\0\0\0isomavc1", "MP4 or MOV"),
        (b"\xff\xff\xff\xffftypisom", "MP4 or MOV"),
        (b"  <svg xmlns=", "SVG or XML"),
        (b"<!DOCTYPE html>", "HTML"),
        (b"\0\x05\x16\x07", "AppleDouble"),
        (b"", None),
        (b"hello", None),
    ],
)
def test_so_are_beginnings(data: bytes, kind: str | None) -> None:
    assert picture_kind(data) == kind
