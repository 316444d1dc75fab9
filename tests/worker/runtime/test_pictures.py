"""Pictures that come in are judged before they are decoded; frames go out as whole JPEGs."""

import io
import struct
import threading
import time
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image
from support.hostile_pictures import jpeg_of_scans, jpeg_of_size, png_of_size, webp_header

from framewire.protocol.picture_header import LIVE
from framewire.worker.runtime import pictures
from framewire.worker.runtime.pictures import (
    PictureError,
    decode_picture,
    encode_jpegs,
    picture_size,
    snapped,
)

FORMATS = ["JPEG", "PNG", "WEBP"]
ORIENTATION = 0x0112


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def smooth(width: int, height: int) -> NDArray[np.uint8]:
    """A picture without fine detail, unlike itself when turned or flipped."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return np.stack([x, y, (x + 2 * y) / 3], -1).astype(np.uint8)


def corners() -> Image.Image:
    """64 x 32: red, green over blue, white."""
    array = np.zeros((32, 64, 3), np.uint8)
    array[:16, :32], array[:16, 32:] = (255, 0, 0), (0, 255, 0)
    array[16:, :32], array[16:, 32:] = (0, 0, 255), (255, 255, 255)
    return Image.fromarray(array)


@pytest.mark.parametrize("kind", FORMATS)
def test_each_format_is_decoded_to_rgb(kind: str) -> None:
    source = smooth(96, 64)
    array = decode_picture(saved(Image.fromarray(source), kind, quality=95), None, None)
    assert array.shape == (64, 96, 3) and array.dtype == np.uint8
    assert array.flags.writeable and array.flags.c_contiguous
    assert np.abs(array.astype(int) - source).mean() < 3


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF", "PPM", "ICO"])
def test_other_formats_are_refused_whatever_pillow_could_read(kind: str) -> None:
    data = saved(Image.new("RGB", (64, 64)), kind)
    with pytest.raises(PictureError, match="not a JPEG, PNG or WebP picture"):
        decode_picture(data, 64, 64)


@pytest.mark.parametrize("data", [b"", b"\xff\xd8", b"/etc/passwd", b"http://x/a.png", b"<svg/>"])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    for decode in (picture_size, lambda data: decode_picture(data, 64, 64)):
        with pytest.raises(PictureError, match="not a JPEG, PNG or WebP picture"):
            decode(data)


@pytest.mark.parametrize("kind", FORMATS)
def test_a_truncated_picture_is_refused_in_one_line(kind: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = saved(Image.fromarray(noise), kind)
    with pytest.raises(PictureError, match="damaged") as caught:
        decode_picture(data[: len(data) // 2], 64, 64)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(kind: str) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    data = saved(frames[0], kind, save_all=True, append_images=frames[1:])
    with pytest.raises(PictureError, match="animated"):
        picture_size(data)


def test_a_phones_jpeg_with_a_second_picture_inside_is_a_still() -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    data = saved(frames[0], "MPO", save_all=True, append_images=frames[1:])
    assert decode_picture(data, None, None)[32, 32] == pytest.approx([255, 0, 0], abs=3)


@pytest.mark.parametrize(
    "data",
    [
        png_of_size(10_000, 10_000),
        png_of_size(60_000, 60_000),
        jpeg_of_size(10_000, 10_000),
        webp_header(b"VP8X", b"\0\0\0\0" + (9_999).to_bytes(3, "little") * 2),
        webp_header(b"VP8L", b"\x2f" + (9_999 | 9_999 << 14).to_bytes(4, "little")),
        webp_header(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 10_000, 10_000)),
    ],
    ids=["png", "huge png", "jpeg", "webp extended", "webp lossless", "webp lossy"],
)
def test_too_many_pixels_are_refused_from_the_header(data: bytes) -> None:
    with pytest.raises(PictureError, match=r"megapixels; at most 40"):
        picture_size(data)


def test_the_largest_picture_that_is_allowed_is_not_refused_for_its_size() -> None:
    assert picture_size(png_of_size(8_000, 5_000)) == (8_000, 5_000)


def test_too_many_scans_are_refused_before_a_pixel_is_decoded() -> None:
    """Each scan of a progressive JPEG is a pass over all its pixels."""
    assert decode_picture(jpeg_of_scans(64), None, None).shape == (64, 64, 3)
    with pytest.raises(PictureError, match="more than 64 scans"):
        decode_picture(jpeg_of_scans(65), None, None)
    with pytest.raises(PictureError, match="more than 16 scans"):
        decode_picture(jpeg_of_scans(17), None, None, LIVE)


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_honoured(kind: str, orientation: int) -> None:
    """The camera stores the picture turned, and says how; what is decoded is upright."""
    stored_by = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }
    upright = corners()
    stored = upright.transpose(stored_by[orientation]) if orientation > 1 else upright
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    data = saved(stored, kind, exif=exif, quality=95)
    assert picture_size(data) == (64, 32)
    decoded = decode_picture(data, 128, 64)
    assert decoded.shape == (64, 128, 3)
    for row, column in ((8, 8), (8, 120), (56, 8), (56, 120)):
        expected = np.asarray(upright)[row // 2, column // 2]
        assert np.abs(decoded[row, column].astype(int) - expected).max() < 20


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize(
    "exif", [b"Exif\0\0rubbish!", b"Exif\0\0II*\0\xff\xff\xff\x7f", b"Exif\0\0"]
)
def test_broken_exif_data_counts_as_upright(exif: bytes) -> None:
    assert picture_size(saved(corners(), "JPEG", exif=exif)) == (64, 32)


def test_alpha_is_laid_over_black() -> None:
    image = Image.new("RGBA", (64, 64), (200, 100, 50, 128))
    image.paste((200, 100, 50, 0), (0, 0, 64, 32))
    decoded = decode_picture(saved(image, "PNG"), None, None)
    assert (decoded[:32] == 0).all()
    assert np.abs(decoded[32:].astype(int) - (100, 50, 25)).max() <= 1


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_every_png_mode_becomes_rgb(mode: str) -> None:
    white = Image.new("RGB", (64, 64), "white").convert(mode)
    assert (decode_picture(saved(white, "PNG"), 32, 32) >= 254).all()


def test_a_palette_with_a_transparent_colour_is_laid_over_black() -> None:
    image = Image.new("P", (64, 64), 0)
    image.putpalette([255, 0, 0, 0, 255, 0])
    data = saved(image, "PNG", transparency=0)
    assert (decode_picture(data, None, None) == 0).all()


def test_sixteen_bit_grey_keeps_its_tones() -> None:
    tones = np.linspace(0, 65535, 64).astype(np.uint16)[None].repeat(64, 0)
    decoded = decode_picture(saved(Image.fromarray(tones), "PNG"), None, None)
    assert np.abs(decoded[0, :, 0].astype(int) - tones[0] // 256).max() <= 1


@pytest.mark.parametrize("mode", ["L", "CMYK"])
def test_grey_and_cmyk_jpegs_become_rgb(mode: str) -> None:
    white = Image.new("RGB", (64, 64), "white").convert(mode)
    assert (decode_picture(saved(white, "JPEG"), 32, 32) >= 250).all()


def test_the_centre_is_cut_to_the_asked_shape() -> None:
    array = np.zeros((100, 300, 3), np.uint8)
    array[:, 100:200] = 255
    wide = saved(Image.fromarray(array), "PNG")
    assert decode_picture(wide, 64, 64).min() > 235
    tall = saved(Image.fromarray(array.transpose(1, 0, 2)), "PNG")
    assert decode_picture(tall, 64, 64).min() > 235


def test_one_side_may_be_left_to_the_picture() -> None:
    data = saved(corners(), "PNG")
    assert decode_picture(data, 32, None).shape == (32, 32, 3)
    assert decode_picture(data, None, 64).shape == (64, 64, 3)


def test_shrinking_is_antialiased() -> None:
    """Single black and white pixels become grey, not one or the other."""
    checks = np.indices((512, 512)).sum(0) % 2 * 255
    data = saved(Image.fromarray(checks.astype(np.uint8)).convert("RGB"), "PNG")
    assert np.abs(decode_picture(data, 64, 64).astype(int) - 127).max() < 12


def test_a_size_that_fits_already_is_not_touched() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
    assert np.array_equal(decode_picture(saved(Image.fromarray(noise), "PNG"), 96, 64), noise)


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 3}])
def test_a_jpeg_that_lacks_its_end_marker_is_read_and_one_that_lacks_more_is_not(
    options: dict[str, Any],
) -> None:
    whole = saved(Image.fromarray(smooth(100, 80)), "JPEG", **options)
    expected = decode_picture(whole, 50, 40)
    for lost in (1, 2):
        assert np.array_equal(decode_picture(whole[:-lost], 50, 40), expected)
    for left in (-3, -20, len(whole) // 2):
        with pytest.raises(PictureError, match="is damaged"):
            decode_picture(whole[:left], 50, 40)


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "this is HEIC: not a JPEG, .*convert it to one"),
        (b"\0\0\0\x18ftypavif\0\0\0\0mif1avif", "this is AVIF: "),
        (b"<!doctype html>", "this is HTML: "),
    ],
)
def test_a_refused_file_is_called_what_it_is(data: bytes, said: str) -> None:
    with pytest.raises(PictureError, match=said):
        decode_picture(data, 64, 64)


@pytest.mark.parametrize("size", [(1600, 1200), (1600, 400), (300, 1200)])
def test_a_jpeg_that_is_shrunk_while_decoded_looks_as_if_shrunk_after(
    size: tuple[int, int],
) -> None:
    picture = Image.fromarray(smooth(*size))
    draft = decode_picture(saved(picture, "JPEG", quality=95), 128, 96)
    exact = decode_picture(saved(picture, "PNG"), 128, 96)
    assert np.abs(draft.astype(int) - exact).max() < 10


def test_a_large_jpeg_is_shrunk_while_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes = []
    eight_bit = pictures._eight_bit

    def watched(image: Any) -> Image.Image:
        sizes.append(image.size)
        return eight_bit(image)

    monkeypatch.setattr(pictures, "_eight_bit", watched)
    decode_picture(saved(Image.new("RGB", (1600, 1200)), "JPEG"), 200, 150)
    assert sizes == [(200, 150)]


@pytest.mark.parametrize(
    ("size", "multiple", "expected"),
    [
        ((832, 480), 16, (832, 480)),
        ((836, 484), 8, (840, 488)),
        ((835, 483), 8, (832, 480)),
        ((64, 2048), 16, (64, 2048)),
        ((65, 71), 16, (64, 64)),
        ((10, 10), 8, (64, 64)),
        ((10, 10), 48, (96, 96)),
        ((4000, 3000), 16, (2048, 1536)),
        ((3000, 4000), 8, (1536, 2048)),
        ((2048, 2048), 48, (2016, 2016)),
    ],
)
def test_sizes_are_snapped(size: tuple[int, int], multiple: int, expected: tuple[int, int]) -> None:
    assert snapped(*size, multiple) == expected


@given(st.integers(64, 2048), st.integers(64, 2048), st.sampled_from([1, 2, 8, 16, 32]))
def test_a_snapped_size_is_near_aligned_and_stays_where_it_is(
    width: int, height: int, multiple: int
) -> None:
    size = snapped(width, height, multiple)
    for asked, got in zip((width, height), size, strict=True):
        assert got % multiple == 0 and 64 <= got <= 2048
        assert abs(asked - got) <= multiple / 2
    assert snapped(*size, multiple) == size


def test_frames_become_whole_jpegs_in_order() -> None:
    frames = np.stack([np.full((48, 80, 3), 60 * at, np.uint8) for at in range(4)])
    jpegs = encode_jpegs(frames)
    assert all(jpeg.startswith(b"\xff\xd8") and jpeg.endswith(b"\xff\xd9") for jpeg in jpegs)
    levels = [decode_picture(jpeg, None, None).mean() for jpeg in jpegs]
    assert levels == pytest.approx([0, 60, 120, 180], abs=1)


def test_frames_that_do_not_lie_in_one_piece_are_encoded_too() -> None:
    planar = np.ascontiguousarray(smooth(80, 48)[None].transpose(0, 3, 1, 2))
    assert encode_jpegs(planar.transpose(0, 2, 3, 1)) == encode_jpegs(smooth(80, 48)[None])


def test_frames_are_encoded_at_the_asked_quality_and_halved_chroma() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3), np.uint8)
    assert len(encode_jpegs(noise, 50)[0]) < len(encode_jpegs(noise, 90)[0])
    with Image.open(io.BytesIO(encode_jpegs(noise)[0])) as image:
        assert image.layer[0][1:3] == (2, 2)  # type: ignore[attr-defined]
        assert (
            image.quantization
            == Image.open(  # type: ignore[attr-defined]
                io.BytesIO(saved(Image.fromarray(noise[0]), "JPEG", quality=90))
            ).quantization
        )


def test_encoding_lets_go_of_the_gil() -> None:
    """While one thread encodes a large frame, this one gets to run many times."""
    noise = np.random.default_rng(0).integers(0, 256, (1, 4096, 4096, 3), np.uint8)
    span: list[float] = []

    def encode() -> None:
        span.append(time.perf_counter())
        encode_jpegs(noise)
        span.append(time.perf_counter())

    thread = threading.Thread(target=encode)
    ticks = []
    thread.start()
    while thread.is_alive():
        ticks.append(time.perf_counter())
    thread.join()
    start, end = span
    inner = [t for t in ticks if start + (end - start) * 0.2 < t < start + (end - start) * 0.8]
    assert len(inner) > 50


SEEDS = [
    saved(
        corners(), "JPEG", exif=b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0"
    ),
    saved(corners(), "JPEG", progressive=True),
    saved(corners().convert("P"), "PNG"),
    saved(corners().convert("RGBA"), "PNG"),
    saved(corners(), "WEBP"),
    saved(corners().convert("RGBA"), "WEBP", lossless=True),
]


@hypothesis_settings(max_examples=300)
@given(st.data())
def test_damaged_pictures_decode_or_are_refused_and_nothing_else(data: st.DataObject) -> None:
    damaged = bytearray(data.draw(st.sampled_from(SEEDS)))
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(damaged) - 1))
        damaged[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=3)) or b"\0"
    try:
        size = picture_size(bytes(damaged))
        assert decode_picture(bytes(damaged), 64, 80).shape == (80, 64, 3)
        assert min(size) > 0
    except PictureError as error:
        assert str(error) and "\n" not in str(error)
