"""Callers without a token that attack the doors, each beside a seeded session that is to the byte
what it is alone and waits for nobody; afterwards the worker holds what it held before."""

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
import pytest_asyncio
from support.servers.watched_worker import Usage, Watched, watched
from support.viewers.hostile_callers import HOSTILE_CALLERS, HostileCaller
from support.viewers.raw_viewer import SMALL, connected

LONGEST_GAP = 5.0
"""Seconds; without an attack on an idle machine it is a hundredth of that."""

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[Watched]:
    async with watched() as running:
        await streamed(running.url)
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def before(worker: Watched) -> Usage:
    """What the worker holds before, every path taken once."""
    start = await worker.idle()
    for caller in HOSTILE_CALLERS:
        await caller(worker.url)
    await worker.back_at(replace(start, rss=10**12))
    return await worker.idle()


async def streamed(url: str) -> tuple[list[bytes], float]:
    """The frames of the session, and the longest time between two of them."""
    async with connected(url) as viewer:
        await viewer.say(prompt="a", seed=7, num_blocks=6, **SMALL)
        frames, gap, last = [], 0.0, time.monotonic()
        while isinstance(message := await viewer.next(), bytes):
            frames.append(message)
            gap, last = max(gap, time.monotonic() - last), time.monotonic()
        assert message == {"session_id": message.get("session_id"), "status": "completed"}
        return frames, gap


@pytest.mark.parametrize("caller", HOSTILE_CALLERS, ids=lambda caller: caller.__name__)
async def test_a_hostile_caller_changes_no_byte_of_another_and_leaves_nothing_behind(
    worker: Watched, before: Usage, caller: HostileCaller
) -> None:
    alone, _ = await streamed(worker.url)
    assert len(alone) == 66
    attack = asyncio.create_task(caller(worker.url))
    while True:
        frames, gap = await streamed(worker.url)
        assert frames == alone and gap < LONGEST_GAP
        if attack.done():
            break
    await attack
    await worker.back_at(before)
    assert "Traceback" not in "".join(worker.worker.log)
