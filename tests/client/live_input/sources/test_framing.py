"""How pictures are cut, fitted and mirrored, and how many a second there are."""

import argparse
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.live.numbered import number_in, numbered_clip

from framewire.client.cli import _parser
from framewire.client.errors import InputError
from framewire.client.live_input.opening import source_from
from framewire.client.live_input.sources.clock import Rate
from framewire.client.live_input.sources.framing import Framing, parse_crop

LEFT, RIGHT = (200, 0, 0), (0, 0, 200)


def picture() -> Image.Image:
    """80x40: red on the left, blue on the right."""
    image = Image.new("RGB", (80, 40), RIGHT)
    image.paste(LEFT, (0, 0, 40, 40))
    return image


def columns(image: Image.Image) -> list[str]:
    """What the middle row shows, from left to right, each colour once where it changes."""
    row = np.asarray(image)[image.height // 2].astype(int)
    names = ["red" if r > 150 else "blue" if b > 150 else "black" for r, _, b in row]
    return [name for at, name in enumerate(names) if at == 0 or names[at - 1] != name]


def test_cover_loses_what_is_beyond_contain_shows_all_and_stretch_too() -> None:
    square = (32, 32)
    cover = Framing(fit="cover").applied(picture(), square)
    contain = Framing(fit="contain").applied(picture(), square)
    stretch = Framing(fit="stretch").applied(picture(), square)
    assert cover.size == contain.size == stretch.size == square
    assert [max(cover.getpixel((16, y))) > 90 for y in (0, 31)] == [True, True]
    assert [max(contain.getpixel((16, y))) > 90 for y in (0, 16, 31)] == [False, True, False]
    assert [max(stretch.getpixel((16, y))) > 90 for y in (0, 31)] == [True, True]
    narrow = Framing(fit="contain").applied(picture(), (160, 40))
    assert columns(narrow) == ["black", "red", "blue", "black"]


def test_a_part_is_cut_out_and_mirrored() -> None:
    framing = Framing(crop=(60, 20, 20, 10), mirror=True)
    image = framing.applied(picture(), None)
    assert image.size == framing.shape((80, 40), "it") == (60, 20)
    assert columns(image) == ["blue", "red"]
    assert columns(Framing().applied(picture(), None)) == ["red", "blue"]
    with pytest.raises(InputError, match=r"60x20\+20\+10 lies outside of 70x40"):
        framing.shape((70, 40), "it")


@pytest.mark.parametrize("text", ["", "8x8", "8x8+1", "0x8+0+0", "8x8-1+0", "axb+0+0"])
def test_a_part_that_is_none_is_told_what_one_is_like(
    text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"expected WxH\+X\+Y, such as 640x360\+100\+0"):
        parse_crop(text)
    with pytest.raises(SystemExit):
        _parser().parse_args(["stream", "a fox", "--input", "x", f"--crop={text}"])
    assert "expected WxH+X+Y" in capsys.readouterr().err


def test_clips_and_folders_are_cut_and_brought_to_a_rate_too(tmp_path: Path) -> None:
    clip = numbered_clip(tmp_path, 20)
    framing = Framing(crop=(192, 64, 0, 0), fit="stretch")
    source = source_from(str(clip), framing=framing, fps=50)
    assert (source.size, source.fps, source.total) == ((192, 64), 50, None)
    pictures = [one for one in source.pictures((192, 64)) if isinstance(one, bytes)]
    assert len(pictures) == 40
    assert {Image.open(io.BytesIO(one)).size for one in pictures} == {(192, 64)}

    folder = tmp_path / "folder"
    folder.mkdir()
    picture().save(folder / "1.png")
    source = source_from(str(folder), framing=Framing(crop=(40, 40, 40, 0)), fps=12)
    assert (source.size, source.fps) == ((40, 40), 12)
    [one] = source.pictures()
    assert isinstance(one, bytes)
    assert columns(Image.open(io.BytesIO(one)).convert("RGB")) == ["blue"]


def test_a_clip_that_nothing_is_asked_of_comes_as_it_is(tmp_path: Path) -> None:
    source = source_from(str(numbered_clip(tmp_path, 5)), framing=Framing(), fps=25)
    assert (source.fps, source.total) == (25, 5)
    pictures = [one for one in source.pictures() if isinstance(one, bytes)]
    assert [number_in(one) for one in pictures] == list(range(5))


@pytest.mark.parametrize(
    ("own", "asked", "taken"),
    [(60, 30, 30), (30, 30, 30), (25, 30, 25), (25, 12, 12), (50, 24, 24)],
)
def test_no_more_pictures_a_second_are_let_through_than_asked_for(
    own: int, asked: int, taken: int
) -> None:
    """Times are rounded to milliseconds, as some containers have them."""
    rate = Rate(asked)
    count = sum(rate.takes(round(number / own, 3)) for number in range(10 * own))
    assert count == pytest.approx(10 * taken, abs=1)


def test_a_clock_that_jumps_holds_no_picture_up() -> None:
    rate = Rate(10)
    assert [rate.takes(at) for at in (100.0, 100.1, 3.0, 3.05, 3.1, 900.0)] == [
        True, True, True, False, True, True,
    ]  # fmt: skip


@pytest.mark.parametrize("rate", ["0", "-1", "1000", "nan", "x"])
def test_a_rate_that_is_none_is_refused(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        _parser().parse_args(["stream", "a fox", "--input", "x", f"--input-fps={rate}"])
    assert "more than 0, at most 240" in capsys.readouterr().err
    options = _parser().parse_args(["stream", "a fox", "--input", "x", "--input-fps", "12.5"])
    assert isinstance(options, argparse.Namespace)
    assert options.input_fps == 12.5
