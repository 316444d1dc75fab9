"""Nothing hangs when one of several ranks is lost: streams end in words, the ranks come back, none is left."""

import asyncio
import logging
import os
import signal
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
import torch
from support.servers.worker_server import Command, command

from framewire.client import Reconnect, connect
from framewire.client.errors import WorkerFailedError
from framewire.client.events import Event, Reconnected
from framewire.worker.backends.ranks.processes import RankProcesses
from framewire.worker.engine.ranks.leader import RanksLost
from framewire.worker.engine.ranks.orders import NewTextCache

SHARED = ("--backend", "wan", "--preset", "tiny-random", "--device", "cpu", "--num-gpus", "2")
NEVER = ("--rank-timeout", "600")
"""So that nothing is noticed by its time-out alone."""
BACK = 100.0
"""Seconds within which all is as it was."""

pytestmark = pytest.mark.timeout(400)


@asynccontextmanager
async def sharing(*options: str) -> AsyncIterator[Command]:
    async with command(*SHARED, *options, OMP_NUM_THREADS="1") as worker:
        yield worker


def followers(pid: int) -> list[int]:
    """The processes that the worker with this id has started to follow it, or that it had."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            parent = int((process / "stat").read_text().rpartition(")")[2].split()[1])
        except (OSError, ValueError, IndexError):
            continue
        if b"framewire.worker.backends.ranks.child" in words and parent == pid:
            found.append(int(process.name))
    return found


def runs(pid: int) -> bool:
    """Whether it does; a zombie that nobody has reaped does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


async def gone(pids: list[int]) -> None:
    """Wait until none of them runs."""
    async with asyncio.timeout(60):
        while any(runs(pid) for pid in pids):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


async def healthy(worker: Command, wanted: bool) -> None:
    async with httpx.AsyncClient(trust_env=False, timeout=BACK) as client:
        async with asyncio.timeout(BACK):
            while (await client.get(f"{worker.http}/health")).json()["ready"] is not wanted:  # noqa: ASYNC110
                await asyncio.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
async def test_a_lost_follower_ends_streams_in_words_and_a_client_gets_all_its_frames(
    number: signal.Signals,
) -> None:
    """Killed, or stopped, which only its time-out tells; `/health` is red until the ranks are back."""
    patience = Reconnect(attempts=100, give_up_after=BACK)
    told: list[Event] = []
    stops = number is signal.SIGSTOP
    async with sharing(*(("--rank-timeout", "4") if stops else NEVER)) as worker:
        (follower,) = followers(worker.process.pid)

        async def give_up() -> WorkerFailedError:
            async with connect(worker.url, reconnect=False, frame_timeout=BACK) as session:
                await session.start("a fox", num_blocks=100_000)
                with pytest.raises(WorkerFailedError) as failed:
                    async for frame in session:
                        if frame.index == 30:
                            os.kill(follower, number)
                return failed.value

        async def go_on() -> list[int]:
            async with connect(worker.url, reconnect=patience, on_event=told.append) as session:
                await session.start("a cat", num_blocks=80)
                return [frame.index async for frame in session]

        going_on = asyncio.create_task(go_on())
        failed = await asyncio.wait_for(give_up(), BACK)
        await healthy(worker, False)  # it was heard before the ranks were started again
        assert "was lost" in str(failed) and "connect again" in str(failed)
        assert await asyncio.wait_for(going_on, BACK) == list(range(12 * 80 - 6))
        assert any(isinstance(event, Reconnected) for event in told)
        await healthy(worker, True)
        assert not runs(follower)
        (another,) = followers(worker.process.pid)
        worker.signal()
        assert await worker.exit_code() == 0
        await gone([another])


async def test_followers_end_with_a_worker_that_is_killed() -> None:
    async with sharing(*NEVER) as worker, connect(worker.url, reconnect=False) as session:
        await session.start("a fox", num_blocks=100_000)
        pids = followers(worker.process.pid)
        assert len(pids) == 1
        async for frame in session:
            if frame.index == 30:
                break
        worker.signal(signal.SIGKILL)
        await gone(pids)


async def test_a_worker_that_is_to_exit_with_a_rank_does_so_with_status_1() -> None:
    async with sharing("--on-rank-loss", "exit", *NEVER) as worker:
        (follower,) = followers(worker.process.pid)
        os.kill(follower, signal.SIGKILL)
        assert await worker.exit_code() == 1
        await gone([follower])


def test_ranks_that_were_told_different_things_are_found_where_that_is_checked() -> None:
    """Checked after every pass at log level debug: a rank that took another tensor ends it all."""
    cpu = torch.device("cpu")
    lost = threading.Event()
    logging.getLogger("framewire").setLevel(logging.DEBUG)
    try:
        processes = RankProcesses([cpu, cpu], threads=1, timeout=30, on_loss=lost.set)
    finally:
        logging.getLogger("framewire").setLevel(logging.NOTSET)
    try:
        ranks = processes.ranks
        with ranks.step():
            ranks.compare()
        assert ranks._digest is not None
        ranks._digest.add(NewTextCache(1), [torch.ones(3)])
        with pytest.raises(RanksLost, match="told different things"), ranks.step():
            ranks.compare()
        assert lost.wait(30)
    finally:
        processes.close()
