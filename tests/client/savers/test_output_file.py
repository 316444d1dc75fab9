"""Where files are written: beside their place, with what was there before untouched until the end."""

import os
import signal
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import av
import pytest
from support.frames_made import frame
from support.servers.stand_in import picture

from framewire.client import Recorder, SaveError, saver_for
from framewire.client.savers import ContactSheetSaver, VideoSaver
from framewire.client.savers.output_file import OutputFile, part_of


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


NAMES = ["a.mp4", "a.mov", "a.mkv", "a.webm", "a.gif", "a.png", "a.jpg"]


@pytest.mark.parametrize("name", NAMES)
def test_the_file_of_the_last_run_stays_until_the_new_one_is_done(
    tmp_path: Path, name: str
) -> None:
    """Whatever is written by then lies beside it."""
    path = tmp_path / name
    path.write_bytes(b"mine")
    saver = saver_for(str(path))
    saver.open()
    for index in range(60):
        saver.write(frame(index), "a fox")
    assert path.read_bytes() == b"mine"
    assert part_of(path).exists()
    saver.close()
    assert path.stat().st_size > 100
    assert list(tmp_path.iterdir()) == [path]
    assert saver.saved is not None and saver.saved.bytes == path.stat().st_size


@pytest.mark.parametrize("name", NAMES)
async def test_a_stream_without_one_picture_leaves_what_was_there(
    tmp_path: Path, name: str
) -> None:
    """And no part of a file."""
    path = tmp_path / name
    path.write_bytes(b"mine")
    with pytest.raises(SaveError):
        async with Recorder([saver_for(str(path))]) as recorder:
            await recorder.write(frame(0, b"\xff\xd8 no picture"))
    assert path.read_bytes() == b"mine"
    assert names(tmp_path) == [name]
    assert recorder.saved == []


@pytest.mark.parametrize("name", ["a.mp4", "a.webm", "a.gif"])
async def test_after_an_error_what_is_playable_is_put_in_its_place(
    tmp_path: Path, name: str
) -> None:
    """With the frames up to the bad one."""
    path = tmp_path / name
    path.write_bytes(b"mine")
    with pytest.raises(SaveError, match="frame 5"):
        async with Recorder([saver_for(str(path))]) as recorder:
            for index in range(5):
                await recorder.write(frame(index))
            await recorder.write(frame(5, b"\xff\xd8 no picture"))
    with av.open(str(path)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 5
    (saved,) = recorder.saved
    assert (saved.frames, saved.seconds) == (5, pytest.approx(5 / 16))
    assert names(tmp_path) == [name]


def test_only_a_kill_leaves_a_part_which_plays(tmp_path: Path) -> None:
    """What was there is still there; the next run takes neither away."""
    path = tmp_path / "a.mp4"
    path.write_bytes(b"mine")
    code = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parents[2])!r})
from support.frames_made import frame
from framewire.client import saver_for
saver = saver_for({str(path)!r})
saver.open()
for index in range(200):
    saver.write(frame(index), None)
print("written", flush=True)
sys.stdin.read()
"""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"written\n"
        process.send_signal(signal.SIGKILL)
    part = tmp_path / "a.part.mp4"
    assert path.read_bytes() == b"mine"
    with av.open(str(part)) as video:
        assert sum(1 for _ in video.decode(video=0)) >= 96
    left = part.read_bytes()
    saver = VideoSaver(path)
    saver.open()
    saver.write(frame(0), None)
    saver.close()
    assert part.read_bytes() == left
    assert names(tmp_path) == ["a.mp4", "a.part.mp4"]


def test_a_link_to_a_file_stays_a_link(tmp_path: Path) -> None:
    """The file it names is replaced, in its own folder; its permissions stay."""
    (tmp_path / "disk").mkdir()
    real, link = tmp_path / "disk/real.mp4", tmp_path / "a.mp4"
    real.write_bytes(b"mine")
    real.chmod(0o640)
    link.symlink_to(real)
    saver = VideoSaver(link)
    saver.open()
    saver.write(frame(0), None)
    assert names(tmp_path / "disk") != ["real.mp4"]
    saver.close()
    assert link.is_symlink()
    assert names(tmp_path / "disk") == ["real.mp4"]
    assert real.read_bytes()[4:8] == b"ftyp"
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def test_a_link_to_nothing_yet_makes_the_file_it_names(tmp_path: Path) -> None:
    (tmp_path / "a.png").symlink_to("new/b.png")
    saver = ContactSheetSaver(tmp_path / "a.png")
    saver.open()
    saver.write(frame(0), None)
    saver.close()
    assert (tmp_path / "a.png").is_symlink()
    assert (tmp_path / "new/b.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("name", NAMES)
def test_a_link_to_a_device_is_written_through(tmp_path: Path, name: str) -> None:
    """Never replaced, and no part of a file is left."""
    path = tmp_path / name
    path.symlink_to("/dev/null")
    saver = saver_for(str(path))
    saver.open()
    for index in range(60):
        saver.write(frame(index), None)
    saver.close()
    assert path.is_symlink() and path.is_char_device()
    assert names(tmp_path) == [name]
    assert saver.saved is not None and saver.saved.bytes > 100


@pytest.fixture
def pipe(tmp_path: Path) -> Iterator[Path]:
    path = tmp_path / "pipe"
    os.mkfifo(path)
    yield path


@pytest.mark.parametrize("name", NAMES)
def test_a_named_pipe_carries_a_file_that_plays(tmp_path: Path, pipe: Path, name: str) -> None:
    """Without one seek; the reader may come after the writer."""
    link = tmp_path / name
    link.symlink_to(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    saver = saver_for(str(link))
    reader.start()
    saver.open()
    for index in range(60):
        saver.write(frame(index), None)
    saver.close()
    reader.join()
    copy = tmp_path / f"copy-{name}"
    copy.write_bytes(read[0])
    with av.open(str(copy)) as video:
        assert sum(1 for _ in video.decode(video=0)) == (1 if name[-3:] in ("png", "jpg") else 60)
    assert pipe.is_fifo() and link.is_symlink()


async def test_the_null_device_takes_jpegs_and_stays_a_device() -> None:
    """`--out /dev/null`, to measure a stream."""
    async with Recorder([saver_for("/dev/null")]) as recorder:
        await recorder.write(frame(0))
    (saved,) = recorder.saved
    assert (saved.frames, saved.bytes) == (1, len(picture(0)))
    assert Path("/dev/null").is_char_device()  # noqa: ASYNC240 (nothing else runs)


def test_a_disk_is_not_written_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a whole device held would be lost."""
    path = tmp_path / "disk"
    path.write_bytes(b"mine")
    monkeypatch.setattr(stat, "S_ISBLK", lambda mode: True)
    monkeypatch.setattr(stat, "S_ISREG", lambda mode: False)
    with pytest.raises(SaveError, match="a disk"):
        OutputFile(path).open()
    assert path.read_bytes() == b"mine"


def test_a_file_that_cannot_be_put_in_its_place_is_not_lost(tmp_path: Path) -> None:
    """The message says where it lies."""
    path = tmp_path / "a.mp4"
    saver = VideoSaver(path)
    saver.open()
    saver.write(frame(0), None)
    path.mkdir()
    with pytest.raises(SaveError, match=r"a\.part\.mp4"):
        saver.close()
    with av.open(str(tmp_path / "a.part.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == 1
    assert saver.saved is None


@pytest.mark.parametrize("name", ["take:1.mp4", "2026-11-25T12:30:00.mp4", "-x.gif", "50%d.webm"])
def test_a_name_is_a_file_whatever_it_contains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """No part of it is a protocol or a pattern."""
    monkeypatch.chdir(tmp_path)
    saver = saver_for(name)
    saver.open()
    saver.write(frame(0), None)
    saver.close()
    assert names(tmp_path) == [name]
