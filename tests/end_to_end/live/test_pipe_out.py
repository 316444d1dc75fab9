"""`framewire stream --out -` into the real FFmpeg: the number drawn into each frame comes through."""

import asyncio
import contextlib
import fcntl
import itertools
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.live.numbered import HEIGHT, WIDTH, number_in, numbered_clip
from support.live.senders import ffmpeg
from support.servers.worker_server import serving

pytestmark = pytest.mark.timeout(300)
COUNT = 40
STREAM = (
    "stream", "a fox", "--strength", "0.01", "--size", f"{WIDTH}x{HEIGHT}", "--fps", "25", "--json",
    "--out", "-",
)  # fmt: skip
RAW = ("-f", "rawvideo", "-video_size", f"{WIDTH}x{HEIGHT}", "-framerate", "25", "-pixel_format")


async def started(*options: str, stdin: int, stdout: int) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "framewire.client.cli", *STREAM, *options),
        stdin=stdin,
        stdout=stdout,
        stderr=subprocess.PIPE,
    )


@contextlib.contextmanager
def read_by_ffmpeg(folder: Path, *how: str) -> Iterator[int]:
    """The end of a pipe to write into; FFmpeg makes a JPEG of each picture that it reads."""
    folder.mkdir()
    reading, writing = os.pipe()
    command = ("ffmpeg", "-v", "error", *how, "-i", "-", "-fps_mode", "passthrough", "-q:v", "2")
    with subprocess.Popen([*command, f"{folder}/%04d.jpg"], stdin=reading) as process:
        os.close(reading)
        try:
            yield writing
        finally:
            with contextlib.suppress(OSError):
                os.close(writing)
            process.wait(60)
    assert process.returncode == 0


def numbers_in(folder: Path) -> list[int]:
    return [number_in(path.read_bytes()) for path in sorted(folder.glob("*.jpg"))]


@pytest.mark.parametrize("form", ["jpeg", "raw", "bgr24", "yuv420p"])
async def test_each_frame_of_a_clip_is_in_the_pipe_once(form: str, tmp_path: Path) -> None:
    """And nothing else is; how it is to be read is said on stderr, as FFmpeg has it."""
    clip = numbered_clip(tmp_path, COUNT)
    pixels = "rgb24" if form == "raw" else form
    how = ("-f", "mjpeg") if form == "jpeg" else (*RAW, pixels)
    with read_by_ffmpeg(tmp_path / "read", *how) as pipe:
        async with serving(codec_threads=1) as worker, asyncio.timeout(100):
            options = ("--url", worker.url, "--input", str(clip), "--format", form)
            running = await started(*options, stdin=subprocess.DEVNULL, stdout=pipe)
            os.close(pipe)
            _, err = await running.communicate()
    *said, report = err.decode().splitlines()
    assert running.returncode == 0, err
    assert numbers_in(tmp_path / "read") == list(range(COUNT))
    assert json.loads(report)["sent"][0]["frames"] == COUNT
    told = [line for line in said if "is read by ffmpeg" in line]
    if form == "jpeg":
        assert not told
    else:
        assert told == [
            (
                "framewire: standard output is read by ffmpeg -f rawvideo "
                f"-pixel_format {pixels} -video_size 192x96 -framerate 25 -i -"
            )
        ]


@contextlib.contextmanager
def live_clip(folder: Path) -> Iterator[int]:
    """A clip that comes as it plays; the end of a pipe to read."""
    to = ("-re", "-i", str(numbered_clip(folder, COUNT)), "-c", "copy", "-f", "mpegts", "-")
    with ffmpeg(*to, stdout=subprocess.PIPE) as sender:
        assert sender.stdout is not None
        yield sender.stdout.fileno()


async def test_of_a_live_input_the_pipe_keeps_the_clock(tmp_path: Path) -> None:
    """Frames come in their order, and again only where the report counts them as repeated."""
    with read_by_ffmpeg(tmp_path / "read", *RAW, "rgb24") as pipe, live_clip(tmp_path) as clip:
        async with serving(codec_threads=1) as worker, asyncio.timeout(100):
            options = ("--url", worker.url, "--input", "-", "--format", "raw", "--latency", "60")
            running = await started(*options, stdin=clip, stdout=pipe)
            os.close(pipe)
            _, err = await running.communicate()
    assert running.returncode == 0, err
    assert b"standard output is read by ffmpeg -f rawvideo -pixel_format rgb24" in err
    (shown,) = json.loads(err.decode().splitlines()[-1])["live"]
    numbers = numbers_in(tmp_path / "read")
    assert numbers == sorted(numbers) and numbers[-1] == COUNT - 1
    assert len(numbers) == shown["frames"] + shown["repeated"]
    assert shown["left_out"] == 0
    print(f"{shown}")


async def test_a_reader_that_goes_ends_its_pipe_and_nothing_else(tmp_path: Path) -> None:
    """The files beside are whole; that it went is said, and in the exit code."""
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)  # which holds less than the clip
    with live_clip(tmp_path) as clip:
        async with serving(codec_threads=1) as worker, asyncio.timeout(100):
            options = ("--url", worker.url, "--input", "-", "--out", f"{tmp_path}/out/")
            running = await started(*options, stdin=clip, stdout=writing)
            os.close(writing)
            assert await asyncio.to_thread(os.read, reading, 2) == b"\xff\xd8"
            os.close(reading)
            _, err = await running.communicate()
    assert running.returncode == 1
    assert err.count(b"standard output: its reader has gone; it ends there, the others go on") == 1
    assert b"Traceback" not in err
    numbers = [number for number, _ in itertools.groupby(numbers_in(tmp_path / "out"))]
    assert numbers == sorted(numbers) and numbers[-1] == COUNT - 1
    assert re.search(rb'"error": \{"code": "[A-Z_]+", "reason": "standard output: its', err)


async def test_where_only_the_pipe_was_asked_for_its_end_is_the_streams() -> None:
    """Nothing goes on for nobody: the test picture would never end."""
    reading, writing = os.pipe()
    async with serving(codec_threads=1) as worker, asyncio.timeout(100):
        options = ("--url", worker.url, "--input", "testsrc")
        running = await started(*options, stdin=subprocess.DEVNULL, stdout=writing)
        os.close(writing)
        assert await asyncio.to_thread(os.read, reading, 2) == b"\xff\xd8"
        os.close(reading)
        _, err = await running.communicate()
    assert running.returncode == 1
    assert b"standard output: its reader has gone" in err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--out", "x.mp4", "--format", "raw"), "--format is of pipes, and there is none"),
        (("--out", "-", "--format", "rgb48"), "invalid choice: 'rgb48'"),
    ],
)
def test_a_format_that_nothing_takes_is_wrong_usage(options: tuple[str, ...], says: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "framewire.client.cli", "stream", "x", *options],
        check=False, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 2
    assert says in done.stderr
