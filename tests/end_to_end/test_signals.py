"""How `framewire stream` ends when it is told to, or killed: files whole, no worker left behind."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import av
import pytest

FRAMEWIRE = [sys.executable, "-m", "framewire.client.cli"]
ENVIRON = {**os.environ, "FRAMEWIRE_BACKEND": "testcard"}
PATIENCE = 60.0


@contextmanager
def streaming(folder: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command with a worker of its own, and an endless stream into `a.mp4`."""
    process = subprocess.Popen(
        [
            *("env", "--default-signal=INT,TERM,HUP", *FRAMEWIRE),
            *("stream", "a red fox", "--blocks", "1000000", "--size", "64x64"),
            *("--out", "a.mp4", "--json", *options),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=folder,
        env=ENVIRON,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(condition: Callable[[], bool], process: subprocess.Popen[str] | None = None) -> None:
    """Wait for what other processes do; there is nothing else to be told by."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert process is None or process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def children(pid: int) -> list[int]:
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def runs(pid: int) -> bool:
    """Whether a process does; a zombie that nobody reaps does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def has_frames(folder: Path) -> bool:
    return any(path.stat().st_size > 50_000 for path in folder.glob("a*.mp4"))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129), (signal.SIGINT, 130)]
)
def test_a_signal_finishes_the_files_reports_and_stops_the_worker(
    number: signal.Signals, code: int, tmp_path: Path
) -> None:
    with streaming(tmp_path) as process:
        until(lambda: has_frames(tmp_path), process)
        (worker,) = children(process.pid)
        process.send_signal(number)
        out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == code, err
    assert "Traceback" not in err
    assert "interrupted" in err
    found = json.loads(out)
    assert found["interrupted"] and not found["completed"]
    with av.open(str(tmp_path / "a.mp4")) as video:
        saved = sum(1 for _ in video.decode(video=0))
    assert saved in (found["frames"], found["frames"] - 1)  # one may have come as it ended
    assert not runs(worker)


def test_a_signal_that_is_ignored_stays_ignored(tmp_path: Path) -> None:
    """`nohup framewire stream …` outlives its terminal."""
    with subprocess.Popen(
        [
            *("env", "--ignore-signal=HUP", *FRAMEWIRE),
            *("stream", "a red fox", "--blocks", "1000000", "--size", "64x64", "--out", "a.mp4"),
        ],
        cwd=tmp_path,
        env=ENVIRON,
    ) as process:
        try:
            until(lambda: has_frames(tmp_path))
            process.send_signal(signal.SIGHUP)
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 143
        finally:
            process.kill()


def test_a_worker_ends_with_the_command_that_is_killed(tmp_path: Path) -> None:
    """SIGKILL and a crash leave no time to stop it: it notices by itself."""
    with streaming(tmp_path) as process:
        until(lambda: has_frames(tmp_path), process)
        (worker,) = children(process.pid)
        process.kill()
        until(lambda: not runs(worker))


def test_a_worker_that_still_loads_ends_with_the_command_that_is_killed(tmp_path: Path) -> None:
    with streaming(tmp_path) as process:
        until(lambda: bool(children(process.pid)), process)
        (worker,) = children(process.pid)
        process.kill()
        until(lambda: not runs(worker))


def test_a_worker_whose_drain_hangs_ends_all_the_same(tmp_path: Path) -> None:
    """Its grace would be ten minutes, and it is stopped while nothing of it runs."""
    program = tmp_path / "stuck.py"
    program.write_text(
        "import signal, time\n"
        "from framewire.worker import lifeline\n"
        "signal.signal(signal.SIGTERM, lambda *_: print('asked', flush=True))\n"
        "lifeline.SECONDS_TO_END = 0.2\n"
        "lifeline.hold_lifeline()\n"
        "print('holding', flush=True)\n"
        "time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdin is not None and process.stdout is not None
            assert process.stdout.readline() == "holding\n"
            process.stdin.close()
            assert process.stdout.read() == "asked\n"
            assert process.wait(PATIENCE) == 1
        finally:
            process.kill()


def test_the_benchs_processes_end_with_it(tmp_path: Path) -> None:
    """Killed in the middle, it leaves no server behind either."""
    program = tmp_path / "bench.py"
    program.write_text(
        "import time\n"
        "from framewire.worker.bench.serving.processes import Setup, serving\n"
        "if __name__ == '__main__':\n"
        "    with serving(Setup('testcard', 'card', 64, 64)):\n"
        "        print('serving', flush=True)\n"
        "        time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(program)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "serving\n"
            servers = children(process.pid)
            assert servers
        finally:
            process.kill()
        until(lambda: not any(map(runs, servers)))
