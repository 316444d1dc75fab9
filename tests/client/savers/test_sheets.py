"""Contact sheets of hostile frames and of prompts in any script."""

import io
import itertools
from functools import cache
from pathlib import Path

import numpy as np
import PIL
import PIL.features
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
import pytest
from numpy.typing import NDArray
from support.frames_made import frame
from support.hostile_pictures import jpeg_of_scans
from support.servers.stand_in import picture

from framewire.client import Recorder, SaveError, saver_for
from framewire.client.savers import ContactSheetSaver, fonts
from framewire.client.savers.captions import CaptionPen, one_line

BAD = b"\xff\xd8 no picture"


def written(text: str, width: int = 320) -> NDArray[np.uint8]:
    """A caption, white on black."""
    sheet = PIL.Image.new("RGB", (400, 24))
    CaptionPen(PIL, 14).write(sheet, (0, 0), text, width, (255, 255, 255))
    return np.asarray(sheet)


@pytest.fixture
def no_fonts(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a machine that has none."""
    monkeypatch.setattr(fonts, "FOLDERS", ())


@pytest.mark.parametrize(
    ("prompt", "shown"),
    [
        ("two\nlines", "two lines"),
        ("\r\n a\t\vfox \x1b[2J\x00", "a fox [2J"),
        ("a\u202efox\u200b", "afox"),
        ("a fox \ud800", "a fox U+D800"),
    ],
)
def test_a_caption_is_one_line(prompt: str, shown: str) -> None:
    """Breaks and tabs are spaces; what steers the direction or a terminal is left out."""
    assert one_line(prompt) == shown
    assert np.array_equal(written(prompt), written(shown))


@pytest.mark.parametrize(
    "prompt",
    ["a" * 5000, "ab " * 400, "狐" * 500, "🦊" * 500, "ثعلب " * 200, "e" + "\u0301" * 5000],
)
def test_a_caption_keeps_to_its_width(prompt: str) -> None:
    """Long words are broken, with an ellipsis."""
    shown = written(prompt, 200)
    assert shown[:, 203:].max() == 0
    assert shown.max() > 100


@pytest.mark.usefixtures("no_fonts")
@pytest.mark.parametrize(
    ("prompt", "spelled"),
    [
        ("狐", "U+72D0"),
        ("a狐狸b", "a U+72D0 U+72F8 b"),
        ("a fox 🦊!", "a fox U+1F98A !"),
        ("❄️ snow", "U+2744 snow"),
        ("ثع", "U+062B U+0639"),
        ("👨‍👩‍👧", "U+1F468 U+1F469 U+1F467"),
        ("\U000fffff", "U+FFFFF"),
        ("\u25a1", "U+25A1"),
    ],
)
def test_what_no_font_has_is_spelled_out(prompt: str, spelled: str) -> None:
    """Never a box, which would be the same for all of them."""
    assert np.array_equal(written(prompt), written(spelled))


@cache
def machine_has(text: str) -> bool:
    return fonts.Fonts(PIL, 14).font_for(text) is not None


@pytest.mark.parametrize("text", ["рыжая", "αλεπού", "狐狸", "여우", "ثعلب", "שועל", "🦊", "❄"])
def test_where_the_machine_has_a_font_it_is_used(text: str) -> None:
    """And shows different letters as different pictures, in less room than the code points."""
    if not all(machine_has(one) for one in text):
        pytest.skip(f"no font here has {text} (fonts-dejavu, fonts-noto-cjk and such have)")
    shown = written(text)
    spelled = " ".join(f"U+{ord(one):04X}" for one in text)
    assert not np.array_equal(shown, written(spelled))
    right = [np.nonzero(one.max((0, 2)))[0].max() for one in (shown, written(spelled))]
    assert right[0] < right[1]
    glyphs = [written(one).tobytes() for one in dict.fromkeys(text)]
    assert len(set(glyphs)) == len(glyphs)


def test_arabic_is_joined_and_runs_leftwards() -> None:
    """Its letters are no row of single ones."""
    if not machine_has("ث") or not PIL.features.check("raqm"):
        pytest.skip("no font with Arabic here, or no layout engine")
    word = "\u062b\u0639\u0644\u0628"
    pen = CaptionPen(PIL, 14)
    alone = sum(pen._fonts.font_for(one).pil.getlength(one) for one in word)  # type: ignore[union-attr]
    (piece,) = pen._fitted(word, 320)
    assert piece[0] == word
    assert piece[1].pil.getlength(word) < alone
    mixed = [text.strip() for text, _ in pen._fitted(f"{word} fox", 320)]
    assert mixed[0] == "fox" or mixed == [f"{word} fox"]


def test_a_fonts_boxes_are_told_from_its_letters() -> None:
    """By the picture that it shows for what it lacks."""
    font = fonts.Fonts(PIL, 14).first
    assert all(font.has(one) for one in "aZ0…“ ")
    lacking = [chr(code) for code in (0x72D0, 0x1F98A, 0x0E44, 0xE000, 0xFFFE)]
    assert not any(font.has(one) for one in lacking)


async def test_a_prompt_in_every_script_makes_a_sheet(tmp_path: Path) -> None:
    """Whatever the machine has."""
    path = tmp_path / "a.png"
    prompts = ["two\nlines", "a" * 900, "狐狸", "ثعلب fox", "🦊👨‍👩‍👧🇩🇪👍🏽", "\x1b[31m\ud800", ""]
    async with Recorder([ContactSheetSaver(path)]) as recorder:
        for index, prompt in enumerate(prompts):
            await recorder.write(frame(index), prompt)
    (saved,) = recorder.saved
    assert (saved.frames, saved.seconds, saved.notes) == (7, None, ())


@pytest.mark.parametrize("bad", [{0}, {5}, {11}, {0, 11}, set(range(1, 12)), set(range(11))])
async def test_an_unreadable_frame_is_left_out_and_named(tmp_path: Path, bad: set[int]) -> None:
    """First, last, in the middle, all but one: the others are on the sheet."""
    path = tmp_path / "a.png"
    async with Recorder([ContactSheetSaver(path)]) as recorder:
        for index in range(12):
            await recorder.write(frame(index, BAD if index in bad else picture(index)))
    (saved,) = recorder.saved
    assert saved.frames == 12 - len(bad)
    (note,) = saved.notes
    named = sorted(bad)[:5]
    assert f"frame {', '.join(map(str, named))}" in note
    assert (f"and {len(bad) - 5} more" in note) == (len(bad) > 5)


async def test_a_sheet_of_nothing_readable_is_an_error(tmp_path: Path) -> None:
    """The sheet of the last run stays."""
    path = tmp_path / "a.png"
    path.write_bytes(b"mine")
    with pytest.raises(SaveError, match="none of 3 frames is a picture"):
        async with Recorder([ContactSheetSaver(path)]) as recorder:
            for index in range(3):
                await recorder.write(frame(index, BAD))
    assert path.read_bytes() == b"mine"


def hostile() -> list[bytes]:
    """As few bytes as possible for as many pixels, long thin ones, and megabytes of nothing."""
    found = []
    for size in ((30000, 30000), (65000, 1), (1, 65000)):
        data = io.BytesIO()
        PIL.Image.new("L", (8, 8)).save(data, "JPEG")
        head = bytearray(data.getvalue())
        at = head.index(b"\xff\xc0") + 5
        head[at : at + 4] = size[1].to_bytes(2) + size[0].to_bytes(2)
        found.append(bytes(head))
    return [*found, picture(1) + bytes(8_000_000), picture(2, 1, 2048), picture(3, 2048, 1)]


@pytest.mark.parametrize("name", ["a.mp4", "a.gif"])
async def test_a_frame_too_large_to_decode_is_refused_by_its_header(
    tmp_path: Path, name: str
) -> None:
    """900 megapixels in a few hundred bytes; the frames before it are kept."""
    with pytest.raises(SaveError, match="frame 1 is no picture"):
        async with Recorder([saver_for(str(tmp_path / name))]) as recorder:
            await recorder.write(frame(0))
            await recorder.write(frame(1, hostile()[0]))
    (saved,) = recorder.saved
    assert saved.frames == 1


async def test_a_frame_of_too_many_scans_is_decoded_by_nobody(tmp_path: Path) -> None:
    """16 MiB have room for 270,000 passes over a progressive JPEG, hours of them."""
    endless = jpeg_of_scans(17)
    sheet = tmp_path / "a.png"
    async with Recorder([ContactSheetSaver(sheet)]) as recorder:
        await recorder.write(frame(0, jpeg_of_scans(16)))
        await recorder.write(frame(1, endless))
    assert [saved.frames for saved in recorder.saved] == [1]
    for name in ("a.mp4", "a.gif"):
        with pytest.raises(SaveError, match=r"frame 0 is no picture to decode: .* 16 scans"):
            async with Recorder([saver_for(str(tmp_path / name))]) as recorder:
                await recorder.write(frame(0, endless))


def test_hostile_frames_take_no_memory(tmp_path: Path) -> None:
    """Sizes are judged before anything is decoded, and what is kept is as small as it is shown."""
    import tracemalloc

    frames = itertools.islice(itertools.cycle(hostile()), 400)
    tracemalloc.start()
    saver = ContactSheetSaver(tmp_path / "a.png")
    saver.open()
    for index, jpeg in enumerate(frames):
        saver.write(frame(index, bytes(bytearray(jpeg))), None)
    held, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    pictures = {shot.picture.size for shot in (*saver._spread, *saver._turns)}
    assert held < 20_000_000  # the last frame, and nothing of the others
    assert all(width <= 320 and height <= 640 for width, height in pictures)
    saver.close()
    assert saver.saved is not None and saver.saved.notes
    with PIL.Image.open(tmp_path / "a.png") as sheet:
        assert sheet.width * sheet.height < 4_000_000
