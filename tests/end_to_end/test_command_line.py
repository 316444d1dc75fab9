"""`framewire stream` and the examples as a user runs them: processes, files, exit codes."""

import asyncio
import contextlib
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from support.servers.stand_in import Peer, stand_in

from framewire.protocol import Ready

ROOT = Path(__file__).parents[2]
FRAMEWIRE = [sys.executable, "-m", "framewire.client.cli"]
ENVIRON = {**os.environ, "FRAMEWIRE_BACKEND": "testcard"}
NIGHT, HILLS = (
    "a red circle moving right over a night sky",
    "a blue square moving left over green hills",
)


def run(*command: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, capture_output=True, text=True, timeout=90, cwd=cwd, env=ENVIRON, check=False
    )


def changes(path: Path) -> np.ndarray:
    """How much each decoded frame differs from the one before it: mean absolute difference."""
    with av.open(str(path)) as video:
        small = (frame.reformat(208, 120, "rgb24") for frame in video.decode(video=0))
        frames = [frame.to_ndarray().astype(int) for frame in small]
    pairs = zip(frames[1:], frames[:-1], strict=True)
    return np.array([np.abs(later - earlier).mean() for later, earlier in pairs])


def assert_changes_at(path: Path, frame: int, frames: int) -> None:
    """One cut, at `frame` and nowhere else."""
    found = changes(path)
    assert len(found) + 1 == frames
    assert int(found.argmax()) + 1 == frame
    others = np.delete(found, frame - 1)
    assert found[frame - 1] > 4 * others.max()


def test_a_steered_stream_becomes_a_video_that_changes_there(tmp_path: Path) -> None:
    """Worker of its own, steer at block 4, MP4, contact sheet, folder and JSON, in one go."""
    done = run(
        *FRAMEWIRE, "stream", NIGHT, "--seed", "3", "--blocks", "8", "--steer", f"4b={HILLS}",
        "--size", "320x192", "--out", "a.mp4", "--out", "frames/", "--contact-sheet", "sheet.png",
        "--json", cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    assert (found["frames"], found["blocks"], found["seed"]) == (90, 8, 3)
    assert (found["width"], found["height"], found["completed"]) == (320, 192, True)
    assert found["files"] == ["a.mp4", "frames", "sheet.png"]
    assert [steer["block"] for steer in found["steers"]] == [4]
    assert_changes_at(tmp_path / "a.mp4", frame=42, frames=90)
    assert len(list((tmp_path / "frames").glob("frame_*.jpg"))) == 90
    with Image.open(tmp_path / "sheet.png") as sheet:
        assert sheet.width > 1000


def test_ctrl_c_finishes_the_files_and_returns_130(tmp_path: Path) -> None:
    """What had arrived is playable, the worker is gone, and one object says so."""
    process = subprocess.Popen(
        [
            # Tests in the background of a script inherit that Ctrl-C is ignored.
            "env", "--default-signal=INT",
            *FRAMEWIRE, "stream", NIGHT, "--blocks", "1000000", "--size", "64x64",
            "--out", "a.mp4", "--out", "a.webm", "--out", "a.gif", "--out", "frames/", "--json",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path, env=ENVIRON,
    )  # fmt: skip
    try:
        frames = tmp_path / "frames"
        _wait_for(process, lambda: frames.exists() and bool(list(frames.glob("frame_00003*.jpg"))))
        children = _children(process.pid)
        assert children
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=90)
    finally:
        process.kill()
    assert process.returncode == 130, err
    found = json.loads(out)
    assert (found["completed"], found["error"]) == (False, None)
    assert "Traceback" not in err
    for name in ("a.mp4", "a.webm", "a.gif"):
        with av.open(str(tmp_path / name)) as video:
            count = sum(1 for _ in video.decode(video=0))
        assert count == len(list(frames.glob("frame_*.jpg"))) >= 30, name
    assert not [pid for pid in children if Path(f"/proc/{pid}").exists()]


async def test_a_second_ctrl_c_says_what_is_lost_and_leaves_files_that_play(
    tmp_path: Path,
) -> None:
    """The first one says what another would cost; here a reader takes nothing meanwhile, and the
    server does not answer to the connection's being closed. The video has a frame by then: of each
    frame it is written before the pipe."""
    seen = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(18)
        await peer.hear()  # the steer that is sent when the seventh frame was seen
        peer.socket.transport.pause_reading()
        seen.set()
        await peer.until_closed()

    async with stand_in(script) as server:
        process = await asyncio.create_subprocess_exec(
            # Tests in the background of a script inherit that Ctrl-C is ignored.
            "env", "--default-signal=INT",
            *FRAMEWIRE, "stream", NIGHT, "--url", server.url, "--plain", "--steer", f"1b={HILLS}",
            "--out", "a.mp4", "--out", "-",
            stdout=(pipe := _Pipe()).entrance, stderr=asyncio.subprocess.PIPE, cwd=tmp_path,
            env=ENVIRON,
        )  # fmt: skip
        assert process.stderr is not None
        try:
            async with asyncio.timeout(60):
                await seen.wait()
                process.send_signal(signal.SIGINT)
                said = (await process.stderr.readline()).decode()
                process.send_signal(signal.SIGINT)
                again = await process.stderr.readline()
                pipe.close()
                rest = (await process.stderr.read()).decode()
                await process.wait()
        finally:
            pipe.close()
            with contextlib.suppress(ProcessLookupError):
                process.kill()
    assert re.search(r"saving [1-9]\d* frames that have arrived \(they are lost", said)
    assert b"interrupted again; what waits is lost" in again
    assert process.returncode == 130, rest
    assert re.search(r"interrupted twice; [1-9]\d* frames that had arrived were not saved", rest)
    assert "Traceback" not in rest
    found = re.search(r"saved a.mp4 \((\d+) frames?", rest)
    assert found is not None
    with av.open(str(tmp_path / "a.mp4")) as video:
        assert sum(1 for _ in video.decode(video=0)) == int(found[1])


class _Pipe:
    """One that holds less than two pictures, and that nobody reads."""

    def __init__(self) -> None:
        self._exit, self.entrance = os.pipe()
        fcntl.fcntl(self.entrance, fcntl.F_SETPIPE_SZ, 4096)
        self._ends = [self._exit, self.entrance]

    @property
    def holds(self) -> int:
        """Bytes that wait to be read."""
        return int.from_bytes(fcntl.ioctl(self._exit, termios.FIONREAD, bytes(4)), sys.byteorder)

    def close(self) -> None:
        while self._ends:
            os.close(self._ends.pop())


def up_to_the_cut(video: Any) -> list[Any]:
    """The frames before the first packet that is not whole, where a player ends as well."""
    frames = []
    with contextlib.suppress(av.error.InvalidDataError):
        for frame in video.decode(video=0):
            frames.append(frame)  # noqa: PERF402 (those before the error are wanted)
    return frames


def test_a_full_disk_ends_one_file_and_not_the_others(tmp_path: Path) -> None:
    """Said at once and with its name; what had been written plays, and the exit code is 1.

    No file of the process may grow beyond 400 kB: that needs no disk of its own.
    """
    done = subprocess.run(
        [
            "prlimit", "--fsize=400000",
            *FRAMEWIRE, "stream", NIGHT, "--blocks", "30", "--size", "256x256",
            "--out", "a.mp4", "--out", "a.gif", "--out", "frames/",
        ],
        capture_output=True, text=True, timeout=90, cwd=tmp_path, env=ENVIRON, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    for name in ("a.mp4", "a.gif"):
        assert f"{name}: File too large; it ends there, the others go on" in done.stderr
        assert (tmp_path / name).stat().st_size <= 400_000
        with av.open(str(tmp_path / name)) as video:
            assert len(up_to_the_cut(video)) >= 5, name
    assert "Traceback" not in done.stderr
    assert "354 frames" in done.stdout
    assert len(list((tmp_path / "frames").glob("frame_*.jpg"))) == 354


def test_a_pipe_carries_pictures_and_nothing_else(tmp_path: Path) -> None:
    """The report goes to stderr; beside it a file; a reader that stops early is an error."""
    command = [*FRAMEWIRE, "stream", NIGHT, "--size", "64x64", "--out", "-"]
    whole = subprocess.run(
        [*command, "--blocks", "3", "--out", "frames/", "--json"],
        capture_output=True, timeout=90, cwd=tmp_path, env=ENVIRON, check=True,
    )  # fmt: skip
    files = sorted((tmp_path / "frames").glob("frame_*.jpg"))
    assert whole.stdout == b"".join(path.read_bytes() for path in files)
    assert json.loads(whole.stderr)["files"] == ["frames"]
    with subprocess.Popen(
        [*command, "--blocks", "10000"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path, env=ENVIRON,
    ) as early:  # fmt: skip
        assert early.stdout is not None and early.stderr is not None
        assert early.stdout.read(2) == b"\xff\xd8"
        early.stdout.close()
        assert b"its reader has gone" in early.stderr.read()
    assert early.returncode == 1


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("hello", r"frame 29: a JPEG of \d+ bytes"),
        ("steer", r"from block 9 on[\s\S]*138 frames"),
        ("live_input", r"frame 41 shows picture \d+"),
        ("save_frames", r"saved \S+frames\nsaved \S+video.mp4"),
    ],
)
def test_each_example_runs_as_it_is(name: str, says: str, tmp_path: Path) -> None:
    """From any folder, without arguments."""
    done = run(sys.executable, str(ROOT / "examples" / f"{name}.py"), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert re.search(says, done.stdout), done.stdout


def test_the_examples_are_short() -> None:
    """Forty lines at most: what needs more belongs in the client."""
    for path in (ROOT / "examples").glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path.name


def _children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def _wait_for(process: subprocess.Popen[Any], condition: Any) -> None:
    """Wait for files of another process; there is nothing else to be told by."""
    deadline = time.monotonic() + 60
    while not condition():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
