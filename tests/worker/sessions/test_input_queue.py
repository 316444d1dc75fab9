"""The input queue: which pictures a block gets, and what happens when they stay away."""

import asyncio
from typing import Literal

import pytest
from support.clock import time_passes

from framewire.worker.runtime.input_room import InputRoom
from framewire.worker.sessions.input_queue import Arrived, InputGap, InputQueue, Origin


class Door:
    """An input queue with short time limits, and what it dropped."""

    def __init__(
        self,
        policy: Literal["newest", "all"] = "newest",
        *,
        patience: float = 60,
        limit: float = 60,
        room: InputRoom | None = None,
        has_place: bool = True,
    ) -> None:
        self.dropped = 0
        self.room = room or InputRoom(10**9, lambda: 1)
        self.queue = InputQueue(
            policy,
            patience=patience,
            limit=limit,
            on_drop=self._drop,
            room=self.room,
            has_place=has_place,
        )

    def _drop(self, count: int) -> None:
        self.dropped += count

    async def put(self, *names: str) -> None:
        for name in names:
            now = asyncio.get_running_loop().time()
            await self.queue.put(Arrived(name.encode(), Origin(now, name)))

    async def put_large(self, *names: str, size: int) -> None:
        """Pictures of so many bytes, whose names are what is left of them."""
        for name in names:
            now = asyncio.get_running_loop().time()
            await self.queue.put(Arrived(name.encode().ljust(size), Origin(now, name)))

    async def take(self, count: int) -> str:
        async with asyncio.timeout(30):
            return " ".join(
                arrived.data.decode().strip() for arrived in await self.queue.take(count)
            )


def named(count: int, first: int = 0) -> list[str]:
    return [str(number) for number in range(first, first + count)]


async def waits(task: "asyncio.Task[object]") -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return not task.done()


async def test_newest_keeps_what_the_next_block_needs_and_counts_what_it_drops() -> None:
    door = Door()
    await door.put(*named(30))
    assert await door.take(12) == " ".join(named(12, first=18))
    assert door.dropped == 18


async def test_newest_gives_the_newest_also_to_a_block_that_needs_few() -> None:
    """A first block may be smaller than was expected: what is old by then is not shown."""
    door = Door()
    await door.put(*named(12))
    assert await door.take(6) == " ".join(named(6, first=6))
    assert door.dropped == 6


async def test_a_block_that_needs_no_pictures_takes_none_and_leaves_them() -> None:
    door = Door()
    await door.put("a")
    assert await door.take(0) == ""
    assert await door.take(1) == "a"


async def test_all_keeps_every_picture_and_makes_the_sender_wait() -> None:
    door = Door("all")
    sender = asyncio.create_task(door.put(*named(40)))
    assert await waits(sender)
    taken = [await door.take(6) for _ in range(6)]
    await asyncio.wait_for(sender, 30)
    assert " ".join(taken) == " ".join(named(36))
    door.queue.end()
    assert await door.take(6) == "36 37 38 39 39 39"
    assert door.dropped == 0


async def test_too_few_pictures_are_waited_for() -> None:
    door = Door()
    taking = asyncio.create_task(door.take(2))
    await door.put("a")
    assert await waits(taking)
    await door.put("b")
    assert await taking == "a b"


async def test_after_its_patience_live_input_repeats_the_newest_for_as_long_as_it_takes() -> None:
    door = Door(patience=0.02, limit=0.02)
    await door.put("a", "b")
    assert await door.take(3) == "a b b"
    assert await door.take(3) == "b b b"
    assert await door.take(3) == "b b b"
    await door.put("c", "d", "e")
    assert await door.take(3) == "c d e"


async def test_a_clip_never_repeats_and_a_gap_in_it_ends_the_stream() -> None:
    door = Door("all", patience=0.01, limit=0.03)
    await door.put("a")
    with pytest.raises(InputGap, match=r"0\.03 s"):
        await door.take(2)


async def test_no_picture_at_all_ends_the_stream_after_the_limit() -> None:
    door = Door(patience=0.01, limit=0.02)
    with pytest.raises(InputGap):
        await door.take(2)


async def test_the_limit_counts_from_when_a_picture_was_wanted() -> None:
    """Time spent in line for a place, or in a block from text, is not the sender's fault."""
    door = Door(limit=600)
    time_passes(700)
    taking = asyncio.create_task(door.take(1))
    assert await waits(taking)
    await door.put("a")
    assert await taking == "a"


async def test_the_end_pads_the_last_block_with_its_last_picture_then_nothing_comes() -> None:
    door = Door("all")
    await door.put("a", "b")
    door.queue.end()
    assert await door.take(4) == "a b b b"
    assert await door.take(4) == ""
    await door.put("late")
    assert await door.take(4) == "" and door.dropped == 1


async def test_the_end_wakes_a_sender_that_waits() -> None:
    door = Door("all")
    sender = asyncio.create_task(door.put(*named(40)))
    assert await waits(sender)
    door.queue.end()
    await asyncio.wait_for(sender, 30)
    assert door.dropped == 40 - 24


async def test_the_end_wakes_a_stream_that_waits() -> None:
    door = Door()
    taking = asyncio.create_task(door.take(2))
    await door.put("a")
    assert await waits(taking)
    door.queue.end()
    assert await taking == "a a"


async def test_a_take_that_is_cancelled_loses_no_picture() -> None:
    door = Door("all")
    taking = asyncio.create_task(door.take(2))
    await door.put("a")
    assert await waits(taking)
    taking.cancel()
    await asyncio.gather(taking, return_exceptions=True)
    await door.put("b")
    assert await door.take(2) == "a b"


async def test_before_the_stream_has_a_place_all_takes_two_pictures_and_makes_the_sender_wait() -> (
    None
):
    door = Door("all", has_place=False)
    sender = asyncio.create_task(door.put(*named(5)))
    assert await waits(sender)
    assert door.room.held == 2
    door.queue.take_place()
    await asyncio.wait_for(sender, 60)
    assert door.room.held == 0
    assert await door.take(5) == "0 1 2 3 4"


async def test_before_the_stream_has_a_place_newest_keeps_the_two_newest() -> None:
    door = Door(has_place=False)
    await door.put(*named(5))
    assert door.dropped == 3 and door.room.held == 2
    door.queue.take_place()
    assert await door.take(2) == "3 4"


async def test_what_waits_is_bounded_in_bytes_and_a_block_comes_in_parts() -> None:
    """Pictures so large that a block of them would not fit are all used all the same."""
    door = Door("all", room=InputRoom(2_000, lambda: 2))  # 500 bytes each
    sender = asyncio.create_task(door.put_large(*named(7), size=200))
    assert await waits(sender)
    parts = [await door.take(6)]
    assert await waits(sender)
    parts.append(await door.take(4))
    assert await waits(sender)
    parts.append(await door.take(2))
    await asyncio.wait_for(sender, 60)
    assert parts == ["0 1", "2 3", "4 5"]
    door.queue.end()
    assert await door.take(2) == "6 6" and door.dropped == 0


async def test_newest_drops_the_oldest_for_bytes_as_well() -> None:
    door = Door(room=InputRoom(2_000, lambda: 2))
    await door.put_large(*named(5), size=200)
    assert door.dropped == 3
    assert await door.take(6) == "3 4"


async def test_one_picture_larger_than_the_share_is_taken_all_the_same() -> None:
    for policy in ("newest", "all"):
        door = Door(policy, room=InputRoom(20, lambda: 2))
        await door.put_large("a", size=200)
        assert await door.take(1) == "a"


async def test_streams_without_a_place_share_their_bytes_and_those_with_one_have_their_own() -> (
    None
):
    room = InputRoom(1_000, lambda: 1)
    first = Door("all", room=room, has_place=False)
    await first.put_large("a", "b", size=200)
    second = Door("all", room=room, has_place=False)
    sender = asyncio.create_task(second.put_large("c", size=200))
    live = Door(room=room, has_place=False)
    await live.put_large("d", size=200)
    assert await waits(sender) and live.dropped == 1
    seated = Door("all", room=room)
    await seated.put_large("e", "f", size=200)
    assert await seated.take(2) == "e f"
    first.queue.close()
    await asyncio.wait_for(sender, 60)
    assert room.held == 200
    second.queue.take_place()
    assert room.held == 0
    assert await second.take(1) == "c"


async def test_closing_frees_what_waited_and_drops_what_comes() -> None:
    door = Door("all", has_place=False)
    sender = asyncio.create_task(door.put(*named(3)))
    assert await waits(sender)
    door.queue.close()
    await asyncio.wait_for(sender, 60)
    assert door.room.held == 0 and door.dropped == 1
    assert await door.take(1) == ""
