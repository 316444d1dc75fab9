"""Savers: whole files, the right pictures in them, bounded memory, errors that say what to do."""

import asyncio
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from support.frames_made import frame, mean_colour
from support.servers.stand_in import picture

from framewire.client import Recorder, SaveError, StateError, saver_for
from framewire.client.savers import (
    ContactSheetSaver,
    DeviceSaver,
    FolderSaver,
    GifSaver,
    PipeSaver,
    VideoSaver,
)
from framewire.client.savers.fragments import cut_broken_end
from framewire.client.savers.output_file import part_of


@pytest.mark.parametrize(
    ("target", "kind"),
    [
        ("frames/", FolderSaver),
        ("frames", FolderSaver),
        ("a.mp4", VideoSaver),
        ("a.MP4", VideoSaver),
        ("a.webm", VideoSaver),
        ("a.mov", VideoSaver),
        ("a.mkv", VideoSaver),
        ("a.mp4/", FolderSaver),
        ("/dev/stderr", PipeSaver),
        ("/dev/null", DeviceSaver),
        ("a.gif", GifSaver),
        ("a.png", ContactSheetSaver),
        ("a.jpg", ContactSheetSaver),
    ],
)
def test_the_names_ending_chooses_the_saver(target: str, kind: type) -> None:
    """One rule for every kind of file."""
    assert isinstance(saver_for(target), kind)


def test_an_unknown_ending_names_the_known_ones() -> None:
    """Before anything is streamed."""
    with pytest.raises(SaveError, match=r"\.mp4"):
        saver_for("a.xyz")


async def test_a_folder_holds_each_jpeg_as_it_came(tmp_path: Path) -> None:
    """Byte for byte, numbered without gaps though frames were dropped, and nothing half done."""
    async with Recorder([saver_for(f"{tmp_path}/new/frames/")]) as recorder:
        for index in (0, 3, 7):
            await recorder.write(frame(index))
    names = sorted(path.name for path in (tmp_path / "new/frames").iterdir())
    assert names == ["frame_000000.jpg", "frame_000001.jpg", "frame_000002.jpg"]
    assert (tmp_path / "new/frames/frame_000002.jpg").read_bytes() == picture(7)


def test_frames_of_an_earlier_stream_go_when_the_first_new_one_is_there(
    tmp_path: Path,
) -> None:
    """Two streams in one folder would make one wrong one. What is no frame of ours stays."""
    for name in ("frame_000000.jpg", "frame_000017.jpg", "notes.txt", "frame_1.jpg"):
        (tmp_path / name).write_bytes(b"old")
    saver = FolderSaver(tmp_path)
    saver.open()
    assert len(list(tmp_path.iterdir())) == 4
    saver.write(frame(0), None)
    names = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert names == {"frame_000000.jpg": picture(0), "notes.txt": b"old", "frame_1.jpg": b"old"}
    saver.close()
    assert saver.saved is not None
    assert saver.saved.notes == ("2 frames of an earlier stream replaced",)


async def test_frames_of_an_earlier_stream_stay_if_no_new_one_can_be_written(
    tmp_path: Path,
) -> None:
    """A full disk costs nothing that was there."""
    (tmp_path / "frame_000000.jpg").write_bytes(b"old")
    (tmp_path / "frame_000000.part").mkdir()  # as good as a full disk
    with pytest.raises(SaveError, match="frame_000000"):
        async with Recorder([FolderSaver(tmp_path)]) as recorder:
            await recorder.write(frame(0))
    assert (tmp_path / "frame_000000.jpg").read_bytes() == b"old"


@pytest.mark.parametrize(
    ("name", "codec"),
    [("a.mp4", "h264"), ("a.webm", "vp9"), ("a.mov", "h264"), ("a.mkv", "h264")],
)
async def test_a_video_shows_the_frames_that_went_in(tmp_path: Path, name: str, codec: str) -> None:
    """yuv420p, the codec, rate and size asked for, each picture close to its JPEG."""
    path = tmp_path / name
    async with Recorder([VideoSaver(path, fps=24)]) as recorder:
        for index in range(20):
            await recorder.write(frame(index, picture(index, 96, 64)))
    with av.open(str(path)) as video:
        stream = video.streams.video[0]
        assert stream.codec_context.pix_fmt == "yuv420p"
        assert codec in stream.codec_context.name
        assert (stream.width, stream.height, stream.average_rate) == (96, 64, 24)
        shown = [one.to_ndarray(format="rgb24").mean((0, 1)) for one in video.decode(stream)]
    sent = [mean_colour(picture(index, 96, 64)) for index in range(20)]
    assert len(shown) == 20
    assert np.abs(np.array(shown) - np.array(sent)).max() < 6


async def test_a_gif_shows_the_frames_that_went_in(tmp_path: Path) -> None:
    """Each with a palette of its own, looping, as long as the video would be; as Pillow reads it."""
    path = tmp_path / "a.gif"
    async with Recorder([saver_for(str(path), fps=16)]) as recorder:
        for index in range(32):
            size = (96, 64) if index < 30 else (64, 96)
            await recorder.write(frame(index, picture(index, *size)))
    with Image.open(path) as gif:
        assert (gif.size, gif.n_frames, gif.info["loop"]) == ((96, 64), 32, 0)  # type: ignore[attr-defined]
        shown, lasted = [], 0
        for index in range(32):
            gif.seek(index)
            lasted += gif.info["duration"]
            shown.append(np.asarray(gif.convert("RGB")).mean((0, 1)))
    sent = [mean_colour(picture(index, 96, 64)) for index in range(32)]
    assert abs(lasted - 2000) < 100
    assert np.abs(np.array(shown) - np.array(sent)).max() < 6


async def test_a_pipe_carries_the_jpegs_as_they_came_and_nothing_else(tmp_path: Path) -> None:
    """What FFmpeg reads as `mjpeg`; pictures larger than a pipe's buffer too."""
    jpegs = [picture(index, 1024, 1024) for index in range(5)] + [picture(0)] * 40
    reader, writer = os.pipe()
    reading = asyncio.create_task(asyncio.to_thread(_read_to_end, reader))
    async with Recorder([PipeSaver(writer)]) as recorder:
        for index, jpeg in enumerate(jpegs):
            await recorder.write(frame(index, jpeg))
    os.close(writer)
    data = await reading
    assert data == b"".join(jpegs)
    (tmp_path / "a.mjpeg").write_bytes(data)
    with av.open(str(tmp_path / "a.mjpeg"), format="mjpeg") as video:
        assert sum(1 for _ in video.decode(video=0)) == len(jpegs)


async def test_a_pipe_whose_reader_has_gone_says_so() -> None:
    """As one that does not read does, after a while; neither hangs."""
    reader, writer = os.pipe()
    with pytest.raises(SaveError, match="not read for"):
        async with Recorder([PipeSaver(writer, stall_limit=0.01)]) as recorder:
            for index in range(1000):
                await recorder.write(frame(index))
    os.close(reader)
    with pytest.raises(SaveError, match="reader has gone"):
        async with Recorder([PipeSaver(writer)]) as recorder:
            await recorder.write(frame(0))
    os.close(writer)


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.mov", "a.mkv", "a.gif"])
def test_a_file_grows_and_memory_does_not(tmp_path: Path, name: str) -> None:
    """Two thousand frames cost what five hundred do."""
    saver = saver_for(str(tmp_path / name))
    saver.open()
    for index in range(500):
        saver.write(frame(index), None)
    part = part_of(tmp_path / name)
    before, written = _resident_bytes(), part.stat().st_size
    for index in range(1500):
        saver.write(frame(index), None)
    after = _resident_bytes()
    saver.close()
    assert (tmp_path / name).stat().st_size > 2 * written
    assert after - before < 8 * 2**20


@pytest.mark.parametrize("missing", [1, 500, 5000])
def test_an_mp4_that_could_not_be_finished_is_cut_to_what_is_whole(
    tmp_path: Path, missing: int
) -> None:
    """Its last fragment, of which a part is missing, would be an error to strict players."""
    path, cut = tmp_path / "a.mp4", tmp_path / "cut.mp4"
    saver = VideoSaver(path)
    saver.open()
    for index in range(200):
        saver.write(frame(index), None)
    cut.write_bytes(part_of(path).read_bytes()[:-missing])
    saver.close()
    broken = cut.stat().st_size
    cut_broken_end(cut)
    assert cut.stat().st_size < broken
    with av.open(str(cut)) as video:
        count = sum(1 for _ in video.decode(video=0))
    assert 48 <= count < 200


def test_an_mp4_without_one_whole_fragment_is_left_alone(tmp_path: Path) -> None:
    """Half of it may still play, nothing of it will not."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"\0\0\0\x10ftypisom....\0\0\xff\xffmdat half")
    cut_broken_end(path)
    assert path.stat().st_size == 29


def _read_to_end(descriptor: int) -> bytes:
    with os.fdopen(descriptor, "rb") as end:
        return end.read()


def _resident_bytes() -> int:
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.parametrize("name", ["a.webm", "a.mkv", "a.mov", "a.gif"])
async def test_a_file_is_playable_while_it_is_written(tmp_path: Path, name: str) -> None:
    """A killed program leaves what it had, but for the last frames."""
    path, copy = tmp_path / name, tmp_path / f"copy-{name}"
    saver = saver_for(str(path))
    saver.open()
    for index in range(200):
        saver.write(frame(index), None)
    copy.write_bytes(part_of(path).read_bytes())
    saver.close()
    with av.open(str(copy)) as video:
        assert sum(1 for _ in video.decode(video=0)) >= 96


async def test_a_video_of_odd_and_changing_sizes(tmp_path: Path) -> None:
    """yuv420p needs even sides; a later stream of another size is scaled to the first."""
    path = tmp_path / "a.mp4"
    async with Recorder([VideoSaver(path)]) as recorder:
        await recorder.write(frame(0, picture(0, 65, 67)))
        await recorder.write(frame(1, picture(1, 128, 64)))
    with av.open(str(path)) as video:
        sizes = {(one.width, one.height) for one in video.decode(video=0)}
    assert sizes == {(64, 66)}


async def test_a_video_is_playable_while_it_is_written(tmp_path: Path) -> None:
    """A killed program leaves what it had: the fragments written so far decode."""
    path, copy = tmp_path / "a.mp4", tmp_path / "copy.mp4"
    saver = VideoSaver(path)
    saver.open()
    for index in range(200):
        saver.write(frame(index), None)
    copy.write_bytes(part_of(path).read_bytes())
    saver.close()
    with av.open(str(copy)) as video:
        assert sum(1 for _ in video.decode(video=0)) >= 96


async def test_a_frame_that_is_no_picture_stops_one_saver_and_leaves_the_others(
    tmp_path: Path,
) -> None:
    """The video is finished with what it had; the folder, which does not look, goes on."""
    video, folder = VideoSaver(tmp_path / "a.mp4"), FolderSaver(tmp_path / "frames")
    recorder = Recorder([video, folder])
    with pytest.raises(SaveError, match="frame 2 is no picture"):
        async with recorder:
            for index in range(2):
                await recorder.write(frame(index))
            await recorder.write(frame(2, b"\xff\xd8 not really"))
            await recorder.write(frame(3))
    with av.open(str(tmp_path / "a.mp4")) as opened:
        assert sum(1 for _ in opened.decode(video=0)) == 2
    assert len(list((tmp_path / "frames").iterdir())) == 4
    assert recorder.finished == [folder]


async def test_when_nothing_can_be_saved_streaming_stops(tmp_path: Path) -> None:
    """A full or read-only disk is told at the next frame, not at the end of the stream."""
    blocked = tmp_path / "file"
    blocked.write_bytes(b"")
    recorder = Recorder([FolderSaver(blocked / "frames"), VideoSaver(blocked / "a.mp4")])
    with pytest.raises(SaveError, match="file"):
        async with recorder:
            for index in range(1000):
                await recorder.write(frame(index))
    assert len(recorder.failures) == 2


async def test_a_recorder_closes_once_and_takes_nothing_after(tmp_path: Path) -> None:
    """Closing early inside the block is fine; a frame after that is the caller's mistake."""
    async with Recorder([FolderSaver(tmp_path / "f")]) as recorder:
        await recorder.write(frame(0))
        await recorder.close()
        with pytest.raises(StateError, match="closed"):
            await recorder.write(frame(1))
    assert len(list((tmp_path / "f").iterdir())) == 1


async def test_nothing_is_touched_before_the_first_frame(tmp_path: Path) -> None:
    """A stream that fails to start does not destroy the file of the last one."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"mine")
    async with Recorder([VideoSaver(path), ContactSheetSaver(tmp_path / "a.png")]):
        pass
    assert path.read_bytes() == b"mine"
    assert not (tmp_path / "a.png").exists()


@pytest.mark.parametrize("count", [1, 5, 12, 40, 2000])
def test_a_contact_sheet_spans_the_stream_in_bounded_memory(tmp_path: Path, count: int) -> None:
    """First and last frame are on it, the rest is spread evenly, in order, however long."""
    sheet = ContactSheetSaver(tmp_path / "a.png", tiles=12)
    sheet.open()
    held = 0
    for index in range(count):
        sheet.write(frame(index), "a fox")
        held = max(held, len(sheet._spread) + len(sheet._turns))
    chosen = [shot.index for shot in sheet._chosen()]
    assert held <= 60
    assert len(chosen) == min(count, 12)
    assert (chosen[0], chosen[-1]) == (0, count - 1)
    assert chosen == sorted(set(chosen))
    sheet.close()
    if count >= 40:
        gaps = [later - earlier for earlier, later in pairwise(chosen)]
        assert max(gaps) < 3 * count / 12


def test_a_contact_sheet_shows_every_new_prompt(tmp_path: Path) -> None:
    """The first frame of each prompt is on the sheet, wherever it fell."""
    sheet = ContactSheetSaver(tmp_path / "a.png")
    sheet.open()
    for index in range(500):
        sheet.write(frame(index), "b" if 101 <= index < 103 else "a")
    assert {101, 103} <= {shot.index for shot in sheet._chosen()}
    sheet.close()


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
async def test_a_contact_sheet_is_a_grid_of_the_pictures(tmp_path: Path, name: str) -> None:
    """Four columns; the tile of frame 0 shows frame 0; captions leave ink below it."""
    async with Recorder([saver_for(f"{tmp_path}/{name}")]) as recorder:
        for index in range(8):
            await recorder.write(frame(index, picture(index, 64, 32)), "a fox in the snow " * 9)
    with Image.open(tmp_path / name) as sheet:
        pixels = np.asarray(sheet.convert("RGB")).astype(int)
    assert pixels.shape == (2 * (160 + 36 + 8) + 8, 4 * 328 + 8, 3)
    tile = pixels[8:168, 8:328].mean((0, 1))
    assert np.abs(tile - mean_colour(picture(0, 64, 32))).max() < 6
    assert pixels[170:200, 8:328].max() > 150


@pytest.mark.parametrize(
    ("name", "module"), [("a.mp4", "av"), ("a.gif", "av"), ("a.png", "PIL.Image")]
)
def test_without_the_extra_the_error_names_the_install_line(name: str, module: str) -> None:
    """And the client, the folder saver included, works without it."""
    code = f"""
import sys
sys.modules[{module!r}] = None
from framewire.client import SaveError, StateError, saver_for
saver_for("frames/")
try:
    saver_for({name!r})
except SaveError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True
    )
    assert "pip install 'framewire[video]'" in done.stdout
