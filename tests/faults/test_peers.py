"""The fault bench: peers that misbehave, one at a time and many at once, against a real worker.

While they do, others' streams are to the byte what they are alone; afterwards the worker holds what
it held before: file descriptors, tasks, connections and places exactly, memory within a bound.
"""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio
from support.servers.watched_worker import Usage, Watched, watched
from support.viewers.bad_peers import BAD_PEERS, GONE, TINY, Peer
from support.viewers.raw_viewer import connected

STREAMS = 64
SEED = 20261121

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


async def streamed(url: str, number: int, fps: int = 300) -> list[bytes]:
    """A stream of its own kind, steered on the way. `fps` is no matter of what it shows."""
    async with connected(url) as viewer:
        better = {"prompt": f"better {number}", "interp_steps": 1, "at_block": 3}
        params = {"prompt": f"good {number}", "seed": number, "num_blocks": 4, "steers": [better]}
        await viewer.say(**params, fps=fps, **TINY)
        received = await viewer.stream()
        assert len(received.messages) == 43, "42 frames and completed"
        return received.frames


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[Watched]:
    async with watched("--max-sessions", str(STREAMS), "--max-connections", "128") as running:
        await _warm_up(running)
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def before(worker: Watched) -> Usage:
    """What the worker holds before the bench, every path taken once."""
    return await worker.idle()


async def _warm_up(worker: Watched) -> None:
    """Allocators, thread pools and caches take what they keep."""
    start = await worker.idle()
    dice = random.Random(SEED)
    await asyncio.gather(*(peer(worker.url, dice) for peer in BAD_PEERS))
    await worker.back_at(replace(start, rss=10**12))


@pytest.mark.parametrize("peer", BAD_PEERS, ids=lambda peer: peer.__name__)
async def test_one_bad_peer_costs_nobody_else_anything_and_leaves_nothing_behind(
    worker: Watched, before: Usage, peer: Peer
) -> None:
    solo = await streamed(worker.url, 1)
    misbehaving = asyncio.create_task(peer(worker.url, random.Random(SEED)))
    while not misbehaving.done():
        assert await streamed(worker.url, 1) == solo
    await misbehaving
    await worker.back_at(before)
    assert unexplained(worker) == []


def unexplained(worker: Watched) -> list[str]:
    """Errors in the worker's log that no prompt asked for: a peer must not fill the log."""
    known = ("ArithmeticError: the prompt asked for it", "TypeError: backend troubled made")
    raised = re.compile(r"^[\w.]*(?:Error|Exception|Disconnect)\b")
    return [line for line in worker.worker.log if raised.match(line) and not line.startswith(known)]


async def misbehave(url: str, dice: random.Random, until: float) -> int:
    """One bad peer after the other; returns how many."""
    count = 0
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        with contextlib.suppress(*GONE):
            await dice.choice(BAD_PEERS)(url, dice)
        count += 1
    return count


async def behave(url: str, number: int, solo: list[bytes], until: float) -> int:
    """The same stream again and again, compared; returns how many."""
    count = 0
    loop = asyncio.get_running_loop()
    while loop.time() < until:
        assert await streamed(url, number) == solo, f"stream {number}, round {count}"
        count += 1
    return count


async def bench(worker: Watched, before: Usage, seconds: float) -> dict[str, Any]:
    half = STREAMS // 2
    solo = [await streamed(worker.url, number, 600) for number in range(half)]
    until = asyncio.get_running_loop().time() + seconds
    async with asyncio.TaskGroup() as group:
        good = [
            group.create_task(behave(worker.url, number, solo[number], until))
            for number in range(half)
        ]
        bad = [
            group.create_task(misbehave(worker.url, random.Random(SEED + number), until))
            for number in range(half)
        ]
    after = await worker.back_at(before)
    assert unexplained(worker) == []
    rounds, worst = [task.result() for task in good], [task.result() for task in bad]
    assert min(rounds) >= 1 and min(worst) >= 1
    return {"good": sum(rounds), "bad": sum(worst), "rss": after.rss - before.rss}


async def test_half_of_64_streams_misbehave_and_the_other_half_does_not_notice(
    worker: Watched, before: Usage
) -> None:
    print(await bench(worker, before, 10))


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_half_of_64_streams_misbehave_for_a_minute(worker: Watched, before: Usage) -> None:
    print(await bench(worker, before, 60))
