"""Headers of pictures are read as decoders read them, so that size and work are judged before."""

import io
import struct
from typing import Any

import pytest
from PIL import Image
from support import hostile_pictures as hostile

from framewire.protocol.picture_header import (
    LIVE,
    START_FRAME,
    Bounds,
    PictureHeader,
    PictureRefused,
    judge_picture,
    read_header,
)


def saved(kind: str, **options: Any) -> bytes:
    data = io.BytesIO()
    Image.effect_mandelbrot((80, 48), (-3, -2.5, 2, 2.5), 100).convert("RGB").save(
        data, kind, **options
    )
    return data.getvalue()


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {}),
        ("JPEG", {"progressive": True}),
        ("JPEG", {"exif": b"Exif\0\0" + b"\xff\xc0\xff\xda" * 99, "comment": b"\xff\xd9"}),
        ("JPEG", {"restart_marker_blocks": 1}),
        ("MPO", {}),
        ("PNG", {}),
        ("WebP", {}),
        ("WebP", {"lossless": True}),
        ("WebP", {"exif": b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0"}),
        ("GIF", {}),
    ],
)
def test_sizes_are_read_from_every_kind_of_header(kind: str, options: dict[str, Any]) -> None:
    header = read_header(saved(kind, **options))
    assert header is not None
    assert (header.width, header.height) == (80, 48)
    assert header.kind == ("JPEG" if kind == "MPO" else kind)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"GIF89a", b"BM" + bytes(60), b"RIFF1234WAVE"])
def test_what_has_no_such_header_is_none(data: bytes) -> None:
    assert read_header(data) is None


@pytest.mark.parametrize("scans", [10, 16, 64])
def test_scans_are_counted(scans: int) -> None:
    assert read_header(hostile.jpeg_of_scans(scans), 1000) == PictureHeader("JPEG", 64, 64, scans)


@pytest.mark.parametrize("cut", [b"\xff\xfe\0\4\xff\xd9", b"\xff\xff\xff\xd9"[:2] + b"\xff\x01"])
def test_no_marker_inside_a_segment_hides_the_scans_behind_it(cut: bytes) -> None:
    """A comment that holds an end marker is no end to a decoder."""
    data = hostile.jpeg_of_scans(30)
    second = data.index(b"\xff\xda", data.index(b"\xff\xda") + 1)
    header = read_header(data[:second] + cut + data[second:], 1000)
    assert header is not None and header.scans == 30


def test_of_two_sizes_the_larger_one_counts() -> None:
    data = hostile.jpeg_of_size(16, 16)
    frame = data.index(b"\xff\xc0")
    length = int.from_bytes(data[frame + 2 : frame + 4], "big")
    other = bytearray(data[frame : frame + 2 + length])
    other[5:9] = struct.pack(">HH", 60_000, 50_000)
    header = read_header(data[:frame] + bytes(other) + data[frame:])
    assert header is not None and (header.width, header.height) == (50_000, 60_000)


def test_a_jpeg_of_endless_segments_is_refused() -> None:
    """Walking them would be the work that judging is to save."""
    with pytest.raises(PictureRefused, match="segments"):
        read_header(b"\xff\xd8" + b"\xff\xe0\0\2" * 100_000)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (hostile.jpeg_of_size(65_535, 65_535), "4295 megapixels; at most 40"),
        (hostile.png_of_size(10_000, 4_001), "40 megapixels; at most 40"),
        (hostile.webp_of_size(16_384, 16_384), "268 megapixels; at most 40"),
        (hostile.gif_of_size(65_535, 65_535), "4295 megapixels; at most 40"),
        (hostile.jpeg_of_scans(65), "more than 64 scans"),
    ],
    ids=["jpeg", "png", "webp", "gif", "scans"],
)
def test_what_exceeds_the_bounds_is_refused_in_one_line(data: bytes, words: str) -> None:
    with pytest.raises(PictureRefused, match=words):
        judge_picture(data, START_FRAME)


def test_live_pictures_may_be_a_quarter_as_large_and_as_many_scans() -> None:
    assert Bounds(10_000_000, 16) == LIVE and Bounds(40_000_000, 64) == START_FRAME
    judge_picture(hostile.jpeg_of_size(4_000, 2_500), LIVE)
    judge_picture(hostile.jpeg_of_scans(16), LIVE)
    for data in (hostile.jpeg_of_size(4_000, 2_501), hostile.jpeg_of_scans(17)):
        with pytest.raises(PictureRefused):
            judge_picture(data, LIVE)
        judge_picture(data, START_FRAME)
