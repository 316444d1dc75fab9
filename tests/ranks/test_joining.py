"""Nothing hangs where a rank is lost before all have joined: whoever waits for them hears of it."""

import asyncio
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from support.servers.worker_server import command

from framewire.worker.backends.ranks import processes
from framewire.worker.backends.ranks.processes import RankProcesses
from framewire.worker.backends.testcard import TestcardBackend
from framewire.worker.engine.ranks import leader
from framewire.worker.engine.ranks.leader import RanksLost
from framewire.worker.runtime.lane import Lane
from framewire.worker.runtime.mending import Mending

CPUS = [torch.device("cpu")] * 2
ENDS = "raise SystemExit(1)"
NEVER_JOINS = "import sys; sys.stdin.read()"
SECOND_FOLLOWER_ENDS = f"""
import subprocess, sys
from pathlib import Path
from framewire.worker.backends.ranks import processes
from framewire.worker.cli import main

start = processes._started

def first(*given):
    processes._started = later
    follower = start(*given)
    Path(__file__).with_suffix(".pid").write_text(str(follower.pid))
    return follower

def later(*_):
    return subprocess.Popen([sys.executable, "-c", {ENDS!r}], stdin=subprocess.PIPE)

processes._started = first
sys.exit(main())
"""

pytestmark = pytest.mark.timeout(200)


def followers_run(program: str, patch: pytest.MonkeyPatch) -> list[subprocess.Popen[bytes]]:
    """In place of the followers; those that have been started."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*_: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE))
        return started[-1]

    patch.setattr(processes, "_started", start)
    return started


def test_a_follower_that_ends_before_it_joins_is_told_of_and_the_next_ranks_join() -> None:
    """Who starts them is told, and nobody else; nothing is left behind that hinders others."""
    lost = threading.Event()
    with pytest.MonkeyPatch.context() as patch:
        followers_run(ENDS, patch)
        words = r"^rank 1 ended \(exit status 1\) before all had joined$"
        with pytest.raises(RanksLost, match=words):
            RankProcesses(CPUS, threads=1, timeout=600, on_loss=lost.set)
    assert not lost.is_set()
    later = RankProcesses(CPUS, threads=1, timeout=600, on_loss=lost.set)
    try:
        with later.ranks.step():
            later.ranks.compare()
        later._processes[0].kill()
        assert lost.wait(100)
        assert later.ranks.lost == "rank 1 ended (exit status -9)"
    finally:
        later.close()


def test_a_follower_that_never_joins_is_lost_when_its_time_is_over(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = followers_run(NEVER_JOINS, monkeypatch)
    monkeypatch.setattr(leader, "_SECONDS_TO_LOAD", 0.0)
    with pytest.raises(RanksLost, match="did not do its part in time"):
        RankProcesses(CPUS, threads=1, timeout=0.1, on_loss=lambda: None)
    assert [follower.returncode for follower in started] == [-signal.SIGKILL]


async def test_a_worker_whose_new_follower_ends_before_it_joins_ends_with_status_1(
    tmp_path: Path,
) -> None:
    program = tmp_path / "serve.py"
    program.write_text(SECOND_FOLLOWER_ENDS)
    model = ("--backend", "wan", "--preset", "tiny-random", "--device", "cpu", "--num-gpus", "2")
    options = (*model, "--rank-timeout", "600")
    async with command(*options, program=program, OMP_NUM_THREADS="1") as worker:
        os.kill(int(program.with_suffix(".pid").read_text()), signal.SIGKILL)
        assert await worker.exit_code() == 1
    assert "the backend could not be loaded again" in "".join(worker.log)


class BreaksWhileItLoads(TestcardBackend):
    """Tells of another loss just before it is loaded for the first time."""

    def __init__(self) -> None:
        super().__init__()
        self.tell: Callable[[], object] = lambda: None
        self.loaded = 0
        self.twice = threading.Event()

    def when_broken(self, tell: Callable[[], object]) -> None:
        self.tell = tell

    def load(self) -> None:
        self.loaded += 1
        if self.loaded == 1:
            self.tell()
        else:
            self.twice.set()


async def test_what_breaks_just_before_it_is_loaded_again_is_loaded_once_more() -> None:
    backend, lane = BreaksWhileItLoads(), Lane(timeout=600)
    mending = Mending(backend, lane, exits=False)
    backend.tell()
    assert await asyncio.to_thread(backend.twice.wait, 100)
    await asyncio.wait_for(mending.over(), 100)
    assert backend.loaded == 2
    assert not mending.under_way and not mending.failed
    lane.close()
