"""Admission: places, the line behind them, and no place lost or made up, whoever gives up when."""

import asyncio
from contextlib import suppress

import pytest

from framewire.worker.runtime.admission import Admission, Full
from framewire.worker.runtime.metrics import Metrics


def admission(limit: int = 1, queue: int = 4) -> Admission:
    return Admission(limit, queue, Metrics())


class Guest:
    """Someone who takes a place in a task of their own and holds it until told to leave."""

    def __init__(self, places: Admission, wait: float = 60) -> None:
        self.positions: list[int] = []
        self.inside = asyncio.Event()
        self.leave = asyncio.Event()
        self.task = asyncio.create_task(self._visit(places, wait))

    async def _visit(self, places: Admission, wait: float) -> None:
        async with places.place(wait, self.positions.append):
            self.inside.set()
            await self.leave.wait()


async def guests(places: Admission, count: int) -> list[Guest]:
    """Guests that came one after the other, each inside or in line."""
    came = []
    for _ in range(count):
        came.append(Guest(places))
        await settled()
    return came


async def settled() -> None:
    """Let every task that can run do so until it waits."""
    for _ in range(6):
        await asyncio.sleep(0)


async def let_go(*leaving: Guest) -> None:
    for guest in leaving:
        guest.leave.set()
        if not guest.inside.is_set():
            guest.task.cancel()
    await asyncio.gather(*(guest.task for guest in leaving), return_exceptions=True)


async def test_a_free_place_is_taken_without_a_word() -> None:
    places = admission(limit=2)
    first, second = await guests(places, 2)
    assert first.inside.is_set() and second.inside.is_set()
    assert (places.taken, places.waiting) == (2, 0)
    assert first.positions == second.positions == []
    await let_go(first, second)
    assert places.taken == 0


async def test_first_come_first_served_and_everyone_is_told_their_position() -> None:
    places = admission()
    holder, one, two, three = await guests(places, 4)
    assert [guest.positions for guest in (one, two, three)] == [[1], [2], [3]]
    await let_go(holder)
    await settled()
    assert one.inside.is_set() and not two.inside.is_set()
    assert [guest.positions for guest in (one, two, three)] == [[1], [2, 1], [3, 2]]
    await let_go(one, two, three)
    assert (places.taken, places.waiting) == (0, 0)


async def test_who_leaves_the_line_moves_the_others_up() -> None:
    places = admission()
    holder, one, two = await guests(places, 3)
    await let_go(one)
    assert two.positions == [2, 1]
    assert places.waiting == 1
    await let_go(holder, two)
    assert places.taken == 0


async def test_a_full_line_turns_away_at_once() -> None:
    places = admission(queue=1)
    holder, one = await guests(places, 2)
    with pytest.raises(Full, match="1 wait"):
        async with places.place(60, lambda _: None):
            raise AssertionError("got in")
    await let_go(holder, one)


async def test_without_a_line_nobody_is_said_to_wait_in_it() -> None:
    places = admission(queue=0)
    (holder,) = await guests(places, 1)
    with pytest.raises(Full, match=r"^every place is taken: try again later$"):
        async with places.place(60, lambda _: None):
            raise AssertionError("got in")
    await let_go(holder)


async def test_waiting_ends_when_its_time_is_up() -> None:
    places = admission()
    (holder,) = await guests(places, 1)
    with pytest.raises(Full, match=r"within 0\.01 s"):
        async with places.place(0.01, lambda _: None):
            raise AssertionError("got in")
    assert places.waiting == 0
    await let_go(holder)
    assert places.taken == 0


async def test_a_place_comes_back_when_its_holder_fails() -> None:
    places = admission()
    with pytest.raises(ZeroDivisionError):
        async with places.place(60, lambda _: None):
            raise ZeroDivisionError
    assert places.taken == 0


async def test_a_drain_sends_the_whole_line_away_and_no_place_is_made_up() -> None:
    places = admission()
    holder, one, two = await guests(places, 3)
    places.refuse("shutting down")
    await let_go(holder)  # in the same moment, before the refused ones have woken up
    for guest in (one, two):
        with pytest.raises(Full, match="shutting down"):
            await guest.task
    assert (places.taken, places.waiting) == (0, 0)


@pytest.mark.parametrize("cancel_first", [True, False])
async def test_giving_up_in_the_moment_of_the_handover_neither_loses_nor_makes_a_place(
    cancel_first: bool,
) -> None:
    places = admission()
    holder, one = await guests(places, 2)
    if cancel_first:
        one.task.cancel()
        holder.leave.set()
    else:
        holder.leave.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        one.task.cancel()
    with suppress(asyncio.CancelledError):
        await one.task
    await holder.task
    assert (places.taken, places.waiting) == (0, 0)
    (next_one, in_line) = await guests(places, 2)
    assert next_one.inside.is_set() and not in_line.inside.is_set()
    await let_go(next_one, in_line)


async def test_the_refused_turn_that_a_release_passes_over_does_not_count_as_a_place() -> None:
    """A release pops waiters that gave up already: it must not make two places of one."""
    places = admission()
    async with places.place(60, lambda _: None):
        one, two = await guests(places, 2)
        one.task.cancel()
        two.task.cancel()
    await asyncio.gather(one.task, two.task, return_exceptions=True)
    assert places.taken == 0
    first, second = await guests(places, 2)
    assert first.inside.is_set() and not second.inside.is_set()
    await let_go(first, second)
