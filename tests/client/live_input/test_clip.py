"""Reading clips: every frame of a video or a folder in order, and what is said of the rest."""

import contextlib
import io
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from support.video_files_made import video
from support.videos_as_shown import overwritten, quarters, written

from framewire.client.errors import InputError
from framewire.client.live_input.clip import clip_from
from framewire.client.live_input.opening import source_from
from framewire.client.live_input.sources.framing import AS_IT_IS
from framewire.client.live_input.sources.naming import named

COLOURS = [(20 * number, 255 - 20 * number, 90) for number in range(12)]


def mean(picture: bytes) -> list[float]:
    return np.asarray(Image.open(io.BytesIO(picture)).convert("RGB"), float).mean((0, 1)).tolist()


@pytest.mark.parametrize("ending", ["mp4", "webm"])
def test_every_frame_of_a_video_comes_once_and_in_order(tmp_path: Path, ending: str) -> None:
    """At its own rate, whatever it is: nothing is resampled."""
    path = tmp_path / f"clip.{ending}"
    path.write_bytes(video(COLOURS, fps=25, fmt=ending))
    clip = clip_from(str(path))
    assert (clip.policy, clip.fps) == ("all", 25.0)
    pictures = list(clip.pictures())
    assert len(pictures) == len(COLOURS)
    for picture, colour in zip(pictures, COLOURS, strict=True):
        assert mean(picture)[:2] == pytest.approx(colour[:2], abs=8)


def test_a_folder_gives_its_pictures_by_name_as_they_are(tmp_path: Path) -> None:
    for name, colour in (("b.png", (9, 9, 9)), ("a.jpg", (200, 0, 0)), ("c.WEBP", (0, 0, 200))):
        Image.new("RGB", (32, 16), colour).save(tmp_path / name)
    (tmp_path / "notes.txt").write_text("not a picture")
    clip = clip_from(str(tmp_path))
    assert clip.fps is None
    names = ("a.jpg", "b.png", "c.WEBP")
    assert list(clip.pictures()) == [(tmp_path / name).read_bytes() for name in names]


def test_what_cannot_be_read_is_named(tmp_path: Path) -> None:
    empty, text = tmp_path / "empty", tmp_path / "text.mp4"
    empty.mkdir()
    text.write_text("no video")
    for name, said in (
        (tmp_path / "absent.mp4", "no such file or folder"),
        (empty, "has no pictures"),
        (text, "is no video that can be read: Invalid data found when processing input"),
    ):
        with pytest.raises(InputError, match=f"{name.name}.*{said}") as caught:
            clip_from(str(name))
        assert "Errno" not in str(caught.value)


def test_without_pyav_videos_say_what_to_install_and_folders_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    assert len(list(clip_from(str(tmp_path)).pictures())) == 1
    (tmp_path / "clip.mp4").write_bytes(b"x")
    for name in (str(tmp_path / "clip.mp4"), "webcam"):
        with pytest.raises(InputError, match=r"needs PyAV and Pillow.*framewire\[video\]"):
            source_from(name, framing=AS_IT_IS)


def levels(clip: Path) -> list[int]:
    """The brightness of each usable picture."""
    pictures = clip_from(str(clip)).pictures()
    return [round(mean(one)[0]) for one in pictures if isinstance(one, bytes)]


def test_numbers_in_names_sort_as_numbers(tmp_path: Path) -> None:
    for number in range(1, 13):
        Image.new("RGB", (8, 8), (20 * number,) * 3).save(tmp_path / f"frame {number}.png")
    assert levels(tmp_path) == [20 * number for number in range(1, 13)]


def test_hidden_files_are_no_pictures(tmp_path: Path) -> None:
    """A Mac puts one beside each picture that it copies."""
    Image.new("RGB", (8, 8), (90, 90, 90)).save(tmp_path / "001.jpg")
    (tmp_path / "._001.jpg").write_bytes(b"\0\x05\x16\x07 what a Mac knows of the file")
    clip = clip_from(str(tmp_path))
    assert clip.total == 1
    assert levels(tmp_path) == [90]


@pytest.mark.parametrize(
    "name", ["take:1.mp4", "2026-11-25T12:30:00.mp4", "-x.mp4", "file:a.mp4", "%03d.mp4", "webcam"]
)
def test_a_path_is_a_file_whatever_it_contains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(video([(90, 90, 90)] * 3))
    pictures = list(clip_from(f"./{name}").pictures())
    assert len(pictures) == 3
    if name != "webcam":
        assert list(clip_from(name).pictures()) == pictures


def test_reserved_words_win_over_files_of_that_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.chdir(tmp_path)
    for name in ("webcam", "screen", "testsrc", "-"):
        Path(name).write_bytes(video([(90, 90, 90)]))
        found = named(name)
        assert found is not None
        assert named(f"./{name}") is None
        assert source_from(f"./{name}", framing=AS_IT_IS).policy == "all"
    with contextlib.closing(source_from("testsrc", framing=AS_IT_IS)) as source:
        assert (source.policy, source.size) == ("newest", (832, 480))


def test_what_is_dropped_or_changed_is_said(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    path.write_bytes(written([quarters()], aspect=Fraction(2, 1), sound=True))
    assert clip_from(str(path)).notes == (
        "its sound is left out",
        "pixels made square, 256x64 of 128x64",
    )


def test_a_folder_tells_of_what_it_cannot_use(tmp_path: Path) -> None:
    whole = io.BytesIO()
    Image.effect_noise((64, 64), 60).convert("RGB").save(whole, "JPEG")
    (tmp_path / "1.jpg").write_bytes(whole.getvalue())
    (tmp_path / "2.jpg").write_bytes(whole.getvalue()[: len(whole.getvalue()) // 2])
    (tmp_path / "3.png").mkdir()
    (tmp_path / "4.jpg").write_bytes(b"")
    (tmp_path / "5.jpg").write_bytes(b"<html><body>404 not found")
    said = [str(one) for one in clip_from(str(tmp_path)).pictures() if not isinstance(one, bytes)]
    assert said[:3] == [
        "2.jpg: is damaged: it is cut off",
        "3.png: is a folder",
        "4.jpg: is empty",
    ]
    assert said[3].startswith("5.jpg: is a file of HTML, which cannot be read here (convert it")


def test_damaged_packets_are_counted_and_the_others_keep_their_times(tmp_path: Path) -> None:
    """By which their sound is found."""
    path = tmp_path / "clip.mp4"
    pictures = [np.full((64, 128, 3), 10 * number, np.uint8) for number in range(20)]
    data = written(pictures, options={"x264-params": "keyint=1"})
    path.write_bytes(overwritten(data, 4, 5, 9))
    clip = clip_from(str(path))
    found = [(picture, clip.sound_at) for picture in clip.pictures()]
    *good, (bad, _) = found
    assert str(bad) == "clip.mp4: damaged pictures were left out (3 of them)"
    whole = [number for number in range(20) if number not in (4, 5, 9)]
    assert clip.fps is not None
    assert [at for _, at in good] == pytest.approx([number / clip.fps for number in whole])


def test_a_clip_of_which_little_is_left_fails_after_that_little(tmp_path: Path) -> None:
    """Less than a tenth; what there is of it comes all the same."""
    path = tmp_path / "clip.mp4"
    pictures = [np.full((64, 128, 3), 10 * number, np.uint8) for number in range(24)]
    data = written(pictures, options={"x264-params": "keyint=1"})
    path.write_bytes(overwritten(data, *range(2, 24)))
    pictures = clip_from(str(path)).pictures()
    assert [isinstance(next(pictures), bytes) for _ in range(3)] == [True, True, False]
    with pytest.raises(InputError, match="2 of 24 pictures"):
        next(pictures)


def test_what_a_damaged_file_has_lost_is_counted_though_no_packet_of_it_is_left(
    tmp_path: Path,
) -> None:
    """A Matroska reader skips to the next sound part, in silence."""
    path = tmp_path / "clip.webm"
    pictures = [np.full((64, 128, 3), 5 * number, np.uint8) for number in range(48)]
    data = written(pictures, fmt="webm", codec="libvpx", options={"deadline": "realtime"})
    path.write_bytes(data[: 2 * len(data) // 3])
    *good, missing = clip_from(str(path)).pictures()
    assert 16 <= len(good) < 48
    assert str(missing) == (
        f"clip.webm: pictures are missing from the file ({48 - len(good)} of them)"
    )


def test_hevc_goes_on_behind_a_damaged_packet(tmp_path: Path) -> None:
    """Though all later pictures are made from it."""
    path = tmp_path / "clip.mp4"
    pictures = [np.full((64, 128, 3), 5 * number, np.uint8) for number in range(24)]
    options = {"x265-params": "log-level=none:bframes=0"}
    path.write_bytes(overwritten(written(pictures, codec="libx265", options=options), 8))
    *good, bad = clip_from(str(path)).pictures()
    assert len(good) == 23
    assert str(bad) == "clip.mp4: damaged pictures were left out"


@pytest.mark.parametrize("fmt", ["mp4", "matroska"])
def test_a_pause_of_one_frame_keeps_its_length(tmp_path: Path, fmt: str) -> None:
    """And the other frames their rate."""
    lasting = [Fraction(1, 16)] * 10 + [Fraction(1)] + [Fraction(1, 16)] * 10
    pictures = [np.full((64, 128, 3), 10 * number, np.uint8) for number in range(21)]
    path = tmp_path / "clip"
    path.write_bytes(written(pictures, lasting=lasting, fmt=fmt))
    clip = clip_from(str(path))
    assert clip.fps == 16
    assert clip.notes == ("its frame rate varies: resampled to 16 fps",)
    assert levels(path) == pytest.approx(
        [10 * number for number in range(21) for _ in range(16 if number == 10 else 1)], abs=4
    )
