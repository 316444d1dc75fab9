"""Single pictures are made fit for the wire: scaled down, checked, and named for what they are."""

import io
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image

from framewire.client.errors import InputError
from framewire.client.live_input.pictures import MAX_BYTES, fitted
from framewire.client.live_input.shape import stream_size
from framewire.protocol.limits import MAX_SIDE


def saved(image: Image.Image, fmt: str, **options: Any) -> bytes:
    data = io.BytesIO()
    image.save(data, fmt, **options)
    return data.getvalue()


def noise(width: int, height: int) -> Image.Image:
    pixels = np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    return Image.fromarray(pixels)


def halves(width: int, height: int) -> Image.Image:
    image = Image.new("RGB", (width, height), (200, 30, 30))
    image.paste((30, 30, 200), (0, 0, width // 2, height))
    return image


def read(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


@pytest.mark.parametrize("fmt", ["JPEG", "PNG", "WEBP"])
def test_what_is_fit_goes_as_it_is(fmt: str) -> None:
    data = saved(halves(640, 480), fmt)
    found = fitted(data, "a picture")
    assert (found.data, found.size, found.note) == (data, (640, 480), "")


def test_a_48_megapixel_photo_is_scaled_down_and_that_is_said() -> None:
    data = saved(halves(8000, 6000), "JPEG")
    found = fitted(data, "photo.jpg")
    assert found.size == read(found.data).size == (MAX_SIDE, 1536)
    assert found.note.startswith("photo.jpg, 8000x6000 and ")
    assert "is sent as 2048x1536" in found.note
    left, right = np.asarray(read(found.data).convert("RGB"))[700, [500, 1500]]
    assert left[2] > 150 > left[0] and right[0] > 150 > right[2]


def test_what_has_more_bytes_than_gateways_take_is_made_smaller() -> None:
    """Even where its sides are short."""
    data = saved(noise(1400, 1400), "PNG")
    assert len(data) > MAX_BYTES
    found = fitted(data, "noise.png")
    assert len(found.data) <= 1_000_000
    assert read(found.data).width > 800


def test_nothing_is_scaled_below_a_size_that_the_stream_is_known_to_have() -> None:
    """A long panorama would lose its height."""
    panorama = saved(halves(8000, 500), "JPEG")
    assert fitted(panorama, "p", covers=(832, 480)).size == (7680, 480)
    assert fitted(panorama, "p").size == (2048, 128)
    heavy = fitted(saved(noise(2000, 2000), "PNG"), "p", covers=(2000, 2000))
    assert read(heavy.data).size == (2000, 2000)


def test_a_photo_that_lies_on_its_side_is_sent_upright() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    found = fitted(saved(halves(4000, 3000), "JPEG", exif=exif), "p")
    assert found.size == read(found.data).size == (1536, 2048)
    assert not read(found.data).getexif()


def test_transparency_becomes_black_when_a_picture_is_made_anew() -> None:
    hidden = Image.new("RGBA", (3000, 100), (255, 0, 0, 0))
    found = fitted(saved(hidden, "PNG"), "p")
    assert np.asarray(read(found.data)).max() < 8


def test_16_bit_grey_keeps_its_brightness() -> None:
    grey = Image.fromarray(np.full((10, 3000), 0x8000, np.uint16))
    found = fitted(saved(grey, "PNG"), "p")
    assert np.asarray(read(found.data)).mean() == pytest.approx(128, abs=2)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("lost", [1, 2])
def test_a_jpeg_that_lacks_its_end_marker_is_read_and_given_one(
    lost: int, progressive: bool
) -> None:
    whole = saved(noise(100, 80), "JPEG", progressive=progressive)
    found = fitted(whole[:-lost], "p")
    assert found.data == whole
    assert fitted(whole[:-lost], "p").note == ""


@pytest.mark.parametrize("part", [0.3, 0.5, 0.9, 0.98])
def test_a_jpeg_that_lacks_more_than_that_is_refused(part: float) -> None:
    whole = saved(noise(100, 80), "JPEG")
    with pytest.raises(InputError, match=r"half\.jpg is damaged: it is cut off"):
        fitted(whole[: int(part * len(whole))], "half.jpg")


def test_avif_is_sent_as_a_jpeg() -> None:
    data = saved(halves(320, 200), "AVIF")
    found = fitted(data, "x.avif")
    assert read(found.data).format == "JPEG"
    assert found.note == "x.avif is sent as a JPEG, not as AVIF"


def test_of_a_picture_that_moves_the_first_one_is_used() -> None:
    frames = [Image.new("RGB", (32, 32), (grey,) * 3) for grey in (40, 200)]
    moving = saved(frames[0], "WEBP", save_all=True, append_images=frames[1:], lossless=True)
    found = fitted(moving, "x.webp")
    assert found.note == "x.webp moves: its first picture is used"
    assert np.asarray(read(found.data)).mean() == pytest.approx(40, abs=3)


HEIC = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + b"\0" * 40


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (
            HEIC,
            r"x is a file of HEIC, which cannot be read here \(pip install pillow-heif, or conv",
        ),
        (b"%PDF-1.7", r"x is a file of PDF, .*convert it"),
        (b"no picture at all", r"x is no picture \(a JPEG, PNG or WebP is one\)"),
        (b"", "x is empty"),
        (b"\xff\xd8\xff\xe0 and no more", "x is damaged|x is a file of JPEG"),
    ],
)
def test_what_cannot_be_read_is_named_for_what_it_is(
    data: bytes, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(InputError, match=said):
        fitted(data, "x")


def test_without_pillow_the_size_is_said_and_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    large, avif = saved(noise(1400, 1400), "PNG"), saved(halves(64, 64), "AVIF")
    monkeypatch.setitem(sys.modules, "PIL", None)
    found = fitted(large, "p.png")
    assert found.data == large
    assert found.note.startswith(
        f"p.png, 1400x1400 and {len(large) / 1e6:.1f} MB, is sent as it is"
    )
    assert "framewire[video]" in found.note
    with pytest.raises(InputError, match=r"AVIF.*framewire\[video\].*magick"):
        fitted(avif, "p.avif")


@pytest.mark.parametrize(
    ("shape", "size"),
    [
        ((1920, 1080), (832, 480)),
        ((128, 96), (832, 480)),
        ((1080, 1920), (480, 832)),
        ((1080, 1350), (480, 832)),
        ((64, 64), (640, 640)),
        ((1000, 1050), (640, 640)),
    ],
)
def test_a_stream_takes_its_shape_from_its_input(
    shape: tuple[int, int], size: tuple[int, int]
) -> None:
    assert stream_size(shape) == size
