"""Uploaded videos become pictures at 16 a second, and what is hostile in them stays outside."""

import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from support.frames_made import first_picture_by_its_tag, patch_means, patches
from support.hostile_pictures import gif_of_size
from support.hostile_videos import crowded_video
from support.video_files_made import seen, video, video_of

from framewire.worker.clips import decoding
from framewire.worker.clips.decoding import VideoError
from framewire.worker.clips.video import VideoReader, VideoWriter, WriteError

HALVES_OF_128, HALVES_OF_64 = (slice(0, 64), slice(64, 128)), (slice(0, 32), slice(32, 64))
REDS = [(10 + 8 * at, 0, 0) for at in range(30)]


def _levels(data: bytes, count: int) -> list[int]:
    """The red of each of the first `count` pictures."""
    reader = VideoReader(data, 64, 64)
    try:
        return [int(picture[..., 0].mean()) for picture in reader.take(count)]
    finally:
        reader.close()


@pytest.mark.parametrize("fmt", ["mp4", "webm", "matroska"])
def test_a_video_at_16_a_second_gives_each_frame_once(fmt: str) -> None:
    """Also where the container rounds times to milliseconds."""
    levels = _levels(video(REDS, fmt="webm" if fmt == "webm" else fmt), 30)
    assert levels == pytest.approx([red for red, _, _ in REDS], abs=6)


def test_other_rates_keep_their_speed() -> None:
    """A second is a second: 32 a second is thinned to every other frame, 8 shows each twice."""
    thinned = _levels(video(REDS, fps=32), 15)
    assert thinned == pytest.approx([red for red, _, _ in REDS[::2]], abs=6)
    doubled = _levels(video(REDS[:10], fps=8), 18)
    assert doubled == pytest.approx([red for red, _, _ in REDS[:9] for _ in range(2)], abs=6)


def test_the_last_picture_fills_a_block_and_then_nothing_comes() -> None:
    reader = VideoReader(video(REDS[:5]), 64, 64)
    taken = reader.take(12)
    assert len(taken) == 12
    assert all(np.array_equal(picture, taken[4]) for picture in taken[5:])
    assert reader.take(12) == []
    assert np.array_equal(reader.last(), taken[4])
    reader.close()


def test_pictures_are_cut_to_the_session_not_squeezed() -> None:
    """A square in the middle of a wide video stays a square."""
    frame = np.zeros((64, 256, 3), np.uint8)
    frame[16:48, 112:144] = 255
    reader = VideoReader(video_of([frame]), 128, 128)
    bright = reader.take(1)[0][..., 0] > 128
    reader.close()
    assert int(bright.any(axis=0).sum()) == pytest.approx(64, abs=3)
    assert int(bright.any(axis=1).sum()) == pytest.approx(64, abs=3)


def test_a_phones_upright_video_stays_upright() -> None:
    """Phones store it lying and say in the header to turn it a quarter clockwise."""
    frame = np.zeros((64, 128, 3), np.uint8)
    frame[:32, :64] = 255  # top left as stored, top right as seen
    data = bytearray(video_of([frame]))
    matrix = data.index(b"tkhd") + 44
    turned = (0, 0x10000, 0, -0x10000, 0, 0, 0, 0, 0x40000000)
    data[matrix : matrix + 36] = struct.pack(">9i", *turned)
    reader = VideoReader(bytes(data), 64, 128)
    bright = reader.take(1)[0][..., 0] > 128
    reader.close()
    quarters = [bright[rows, columns].mean() for rows in HALVES_OF_128 for columns in HALVES_OF_64]
    assert quarters == pytest.approx([0, 1, 0, 0], abs=0.1)


def test_a_playlist_is_no_video(tmp_path: Path) -> None:
    """FFmpeg would open the files and the addresses that a playlist names."""
    inside = tmp_path / "inside.mp4"
    inside.write_bytes(video(REDS[:3]))
    for text in (
        f"#EXTM3U\n#EXTINF:1,\nfile://{inside}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {inside}\n",
    ):
        with pytest.raises(VideoError, match="not an MP4"):
            VideoReader(text.encode(), 64, 64)


@pytest.mark.parametrize("data", [b"", b"nothing", b"\0\0\0\x18ftypmp42" + b"\0" * 100])
def test_what_is_no_video_is_refused(data: bytes) -> None:
    with pytest.raises(VideoError):
        VideoReader(data, 64, 64)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.99])
def test_a_damaged_video_is_refused_or_ends_early(part: float) -> None:
    """And never raises what nobody expects."""
    whole = video(REDS)
    try:
        reader = VideoReader(whole[: int(part * len(whole))], 64, 64)
        taken = reader.take(12)
    except VideoError:
        return
    assert len(taken) in (0, 12)
    reader.close()


def test_huge_pictures_are_refused_before_they_are_converted() -> None:
    reader = VideoReader(video([(0, 0, 0)], size=(4096, 3072)), 64, 64)
    with pytest.raises(VideoError, match="megapixels"):
        reader.take(1)
    reader.close()


def test_what_is_written_plays_everywhere(tmp_path: Path) -> None:
    """H.264 in yuv420p at 16 a second, its index in front, its colours right."""
    path = tmp_path / "out.mp4"
    writer = VideoWriter(path, 128, 64)
    colours = [(200, 30, 30), (30, 200, 30), (30, 30, 200)]
    writer.write(np.stack([np.full((64, 128, 3), colour, np.uint8) for colour in colours]))
    writer.close()
    data = path.read_bytes()
    back = seen(data)
    assert (back.codec, back.pixel_format, back.fps, back.size) == (
        "h264",
        "yuv420p",
        16,
        (128, 64),
    )
    assert data.index(b"moov") < data.index(b"mdat")
    for frame, colour in zip(back.frames, colours, strict=True):
        assert frame.mean(axis=(0, 1)) == pytest.approx(colour, abs=12)


def test_twelve_colours_are_tagged_and_within_3(tmp_path: Path) -> None:
    """BT.709, limited; untagged, a player takes BT.601 for small and BT.709 for large videos."""
    shown = patches(832, 480)
    path = tmp_path / "out.mp4"
    writer = VideoWriter(path, 832, 480)
    writer.write(np.stack([shown] * 3))
    writer.close()
    tags, back = first_picture_by_its_tag(path)
    assert tags == (1, 1, 1, 1)
    assert np.abs(patch_means(back) - patch_means(shown)).max() <= 3


CODE = """
import resource, signal, sys
import numpy as np
from framewire.worker.clips.video import VideoWriter, WriteError

signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), most))
frames = np.random.default_rng(0).integers(0, 256, (24, 64, 128, 3), np.uint8)
try:
    writer = VideoWriter(sys.argv[1], 128, 64)
    try:
        for _ in range(4):
            writer.write(frames)
    finally:
        writer.close()
except WriteError as error:
    print(error)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="no limit of a file's size there")
@pytest.mark.parametrize("room", [0, 30, 600, 20_000, 200_000, 400_000])
def test_a_disk_that_gets_full_is_an_error_in_words(tmp_path: Path, room: int) -> None:
    """In the header, among the frames, in the index; in a process of its own, which must not crash."""
    done = subprocess.run(
        [sys.executable, "-c", CODE, str(tmp_path / "a.mp4"), str(room)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "the clip cannot be written: File too large\n"


def test_a_folder_that_is_gone_is_an_error_in_words(tmp_path: Path) -> None:
    with pytest.raises(WriteError, match="No such file or directory"):
        VideoWriter(tmp_path / "gone/a.mp4", 128, 64)


def test_pictures_are_bounded_in_number_and_in_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """A video of some kilobytes may hold hundreds of large pictures within a few milliseconds."""
    data = crowded_video(10, (256, 128))
    for bound, most in (("MAX_FRAMES", 8), ("MAX_PIXELS_IN_ALL", 8 * 256 * 128)):
        with monkeypatch.context() as patched:
            patched.setattr(decoding, bound, most)
            reader = VideoReader(data, 64, 64)
            with pytest.raises(VideoError, match="too many or too large"):
                reader.take(12)
            reader.close()


def test_a_gif_is_judged_by_its_screen_before_it_is_opened() -> None:
    """FFmpeg paints the whole screen for one pixel: a gigabyte for 35 bytes."""
    with pytest.raises(VideoError, match="16000x16000; at most 10 megapixels"):
        VideoReader(gif_of_size(16_000, 16_000), 64, 64)
    reader = VideoReader(gif_of_size(640, 480), 64, 64)
    assert len(reader.take(1)) == 1
    reader.close()


def test_a_picture_larger_than_its_track_says_is_not_decoded() -> None:
    """The header of the file says 256x128, the stream within it 4096x3072."""
    data = bytearray(crowded_video(3, (4096, 3072)))
    for box, at in ((b"tkhd", 80), (b"avc1", 28)):
        where = data.index(box) + at
        size = (256 << 16, 128 << 16) if box == b"tkhd" else (256, 128)
        packed = struct.pack(">II" if box == b"tkhd" else ">HH", *size)
        data[where : where + len(packed)] = packed
    with pytest.raises(VideoError):
        VideoReader(bytes(data), 64, 64).take(1)
