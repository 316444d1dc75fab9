"""The lane: one thread, calls in the order they came, and honest answers when one hangs."""

import asyncio
import threading
from collections.abc import AsyncIterator

import pytest
from support.clock import time_passes
from support.engines.scripted_backend import Gate

from framewire.worker.runtime.lane import Lane, LaneStuck


@pytest.fixture
async def lane() -> AsyncIterator[Lane]:
    made = Lane(timeout=30)
    yield made
    made.close()


async def test_calls_run_in_the_order_they_came_on_one_other_thread(lane: Lane) -> None:
    ran: list[int] = []
    threads: set[int] = set()

    def call(number: int) -> int:
        ran.append(number)
        threads.add(threading.get_ident())
        return number * number

    results = await asyncio.gather(*(lane.run(lambda n=n: call(n)) for n in range(20)))
    assert results == [n * n for n in range(20)]
    assert ran == list(range(20))
    assert len(threads) == 1 and threading.get_ident() not in threads


async def test_an_exception_reaches_its_caller_and_nobody_else(lane: Lane) -> None:
    def broken() -> None:
        raise ZeroDivisionError("as told")

    failed, fine = await asyncio.gather(
        lane.run(broken), lane.run(lambda: 7), return_exceptions=True
    )
    assert isinstance(failed, ZeroDivisionError) and fine == 7


async def test_a_caller_that_is_cancelled_before_its_turn_loses_it(lane: Lane) -> None:
    gate, ran = Gate(), list[str]()
    held = asyncio.create_task(lane.run(gate))
    await asyncio.to_thread(gate.entered.wait)
    waiting = asyncio.create_task(lane.run(lambda: ran.append("cancelled")))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.open()
    await held
    await lane.run(lambda: ran.append("after"))
    assert ran == ["after"]


async def test_a_call_that_has_started_runs_to_its_end_though_its_caller_left(lane: Lane) -> None:
    gate, ended = Gate(), threading.Event()

    def call() -> None:
        gate()
        ended.set()

    task = asyncio.create_task(lane.run(call))
    await asyncio.to_thread(gate.entered.wait)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    gate.open()
    await lane.run(lambda: None)
    assert ended.is_set()


async def test_a_call_that_hangs_is_told_to_every_caller_and_to_all_who_come_later() -> None:
    lane, gate = Lane(timeout=0.02), Gate()
    ran: list[str] = []
    hanging = asyncio.create_task(lane.run(gate))
    waiting = asyncio.create_task(lane.run(lambda: ran.append("waiting")))
    for task in (hanging, waiting):
        with pytest.raises(LaneStuck, match=r"0\.02 s"):
            await task
    assert lane.stuck
    with pytest.raises(LaneStuck):
        await lane.run(lambda: ran.append("late"))
    gate.open()
    lane.close()
    await asyncio.to_thread(lane._thread.join)
    assert ran == [], "a call whose caller was told that it failed must not run"


async def test_the_time_limit_is_one_calls_own_and_not_the_lines() -> None:
    """Many short calls may take longer together than one may alone."""
    lane, gates = Lane(timeout=600), [Gate() for _ in range(3)]
    calls = [asyncio.create_task(lane.run(gate)) for gate in gates]
    for gate in gates:
        await asyncio.to_thread(gate.entered.wait)
        time_passes(400)
        gate.open()
    await asyncio.gather(*calls)
    assert not lane.stuck
    lane.close()


async def test_a_loop_that_has_closed_does_not_break_the_thread() -> None:
    gate = Gate()

    def elsewhere() -> Lane:
        async def leave_a_call_running() -> Lane:
            lane = Lane(timeout=30)
            asyncio.ensure_future(lane.run(gate))  # noqa: RUF006 (left behind on purpose)
            await asyncio.to_thread(gate.entered.wait)
            return lane

        return asyncio.run(leave_a_call_running())

    lane = await asyncio.to_thread(elsewhere)
    lane.close()
    gate.open()
    await asyncio.to_thread(lane._thread.join, 60)
    assert not lane._thread.is_alive()
