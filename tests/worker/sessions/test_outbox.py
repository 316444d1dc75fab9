"""The outbox: order kept, two blocks and one in the making, no lost wake-up."""

import asyncio

import pytest

from framewire.protocol import Completed, Frame, Message, Warned
from framewire.worker.sessions.outbox import TEXTS, Outbox
from framewire.worker.sessions.pace import Pace


class Plain:
    """Stands for the connection: a message is its own words on the wire."""

    def send(self, message: Message) -> bytes | str:
        match message:
            case Frame():
                return message.jpeg
            case Warned():
                return message.reason
        return "completed"


def new_outbox(*, events: bool = True) -> Outbox:
    return Outbox(Plain(), Pace(), events=events)


def say(outbox: Outbox, words: str) -> None:
    outbox.say(Warned(reason=words))


async def drained(outbox: Outbox) -> list[bytes | str]:
    """What the outbox holds, sent one by one as a writer would."""
    sent = []
    while outbox._items:
        item = await outbox.head()
        sent.append(item.data)
        outbox.sent(item)
    return sent


async def waits(waiting: "asyncio.Task[object]") -> bool:
    for _ in range(5):
        await asyncio.sleep(0)
    return not waiting.done()


def put_block(outbox: Outbox, *frames: bytes) -> None:
    outbox.expect_block()
    outbox.put_block([Frame(jpeg) for jpeg in frames])


async def test_texts_and_frames_leave_in_the_order_they_came() -> None:
    outbox = new_outbox()
    say(outbox, "ready")
    put_block(outbox, b"1", b"2")
    say(outbox, "block")
    put_block(outbox, b"3")
    outbox.say(Completed(session_id="s"))
    assert await drained(outbox) == ["ready", b"1", b"2", "block", b"3", "completed"]


async def test_two_blocks_may_wait_and_one_more_be_in_the_making() -> None:
    outbox = new_outbox()
    for _ in range(2):
        await outbox.room()
        put_block(outbox, b"a", b"b")
    await outbox.room()
    outbox.expect_block()
    room = asyncio.create_task(outbox.room())
    assert await waits(room)
    outbox.put_block([Frame(b"c")])
    assert await waits(room)
    outbox.sent(await outbox.head())
    assert await waits(room), "half a block sent is no room"
    outbox.sent(await outbox.head())
    await asyncio.wait_for(room, 30)


async def test_a_block_without_frames_takes_no_room() -> None:
    """A model whose decoder lags behind may deliver nothing for its first block."""
    outbox = new_outbox()
    for _ in range(5):
        await asyncio.wait_for(outbox.room(), 30)
        put_block(outbox)
    await asyncio.wait_for(outbox.empty(), 30)


async def test_head_waits_for_something_to_send() -> None:
    outbox = new_outbox()
    head = asyncio.create_task(outbox.head())
    assert await waits(head)
    say(outbox, "x")
    assert (await asyncio.wait_for(head, 30)).data == "x"


async def test_empty_waits_for_what_is_unsent_and_for_what_is_being_made() -> None:
    outbox = new_outbox()
    say(outbox, "x")
    outbox.expect_block()
    empty = asyncio.create_task(outbox.empty())
    outbox.sent(await outbox.head())
    assert await waits(empty)
    outbox.put_block([Frame(b"1")])
    assert await waits(empty)
    outbox.sent(await outbox.head())
    await asyncio.wait_for(empty, 30)


async def test_all_who_wait_wake_up_though_one_of_them_waits_on() -> None:
    outbox = new_outbox()
    head = asyncio.create_task(outbox.head())
    outbox.expect_block()
    empty = asyncio.create_task(outbox.empty())
    assert await waits(head) and await waits(empty)
    say(outbox, "x")
    item = await asyncio.wait_for(head, 30)
    assert await waits(empty)
    outbox.sent(item)
    outbox.expect_nothing()
    await asyncio.wait_for(empty, 30)


async def test_dropping_frames_keeps_the_texts_and_makes_room() -> None:
    outbox = new_outbox()
    put_block(outbox, b"1")
    say(outbox, "steered")
    put_block(outbox, b"2")
    outbox.expect_block()
    outbox.drop_frames()
    await asyncio.wait_for(outbox.room(), 30)
    assert await drained(outbox) == ["steered"]
    await asyncio.wait_for(outbox.empty(), 30)


async def test_a_frame_dropped_while_it_is_sent_is_not_taken_for_the_next_one() -> None:
    outbox = new_outbox()
    put_block(outbox, b"stale")
    item = await outbox.head()
    outbox.drop_frames()
    put_block(outbox, b"fresh")
    assert not outbox.holds(item)
    outbox.sent(item)
    assert await drained(outbox) == [b"fresh"]


async def test_events_are_dropped_when_too_many_wait_and_other_texts_never() -> None:
    outbox = new_outbox()
    for number in range(TEXTS + 50):
        say(outbox, f"event {number}")
    outbox.say(Completed(session_id="s"))
    sent = await drained(outbox)
    assert len(sent) == TEXTS + 1 and sent[-1] == "completed"


async def test_events_are_dropped_where_none_were_asked_for() -> None:
    outbox = new_outbox(events=False)
    say(outbox, "event")
    outbox.say(Completed(session_id="s"))
    outbox.events = True
    say(outbox, "another")
    assert await drained(outbox) == ["completed", "another"]


async def test_a_cancelled_wait_leaves_the_outbox_as_it_was() -> None:
    outbox = new_outbox()
    head = asyncio.create_task(outbox.head())
    assert await waits(head)
    head.cancel()
    with pytest.raises(asyncio.CancelledError):
        await head
    say(outbox, "x")
    assert await drained(outbox) == ["x"]


async def test_a_block_in_parts_is_one_block_and_in_the_making_until_its_last_part() -> None:
    outbox = new_outbox()
    put_block(outbox, b"a", b"b")
    outbox.expect_block()
    outbox.put_block([Frame(b"c")], left=2)
    await outbox.room()
    outbox.expect_block()
    room = asyncio.create_task(outbox.room())
    assert await waits(room)
    for _ in range(3):
        outbox.sent(await outbox.head())
    await asyncio.wait_for(room, 30)
    outbox.put_block([Frame(b"d"), Frame(b"e")])
    empty = asyncio.create_task(outbox.empty())
    for _ in range(2):
        outbox.sent(await outbox.head())
    assert await waits(empty), "the block behind it is still being made"
    outbox.expect_nothing()
    await asyncio.wait_for(empty, 30)


async def test_what_has_come_of_a_block_in_the_making_is_not_counted_twice() -> None:
    """A paced stream's next block is begun by what will be unsent, not by more than that."""
    pace = Pace()
    pace.fps = 10
    pace.saw_block(6, 0.6)
    outbox = Outbox(Plain(), pace, events=True)
    outbox.expect_block()
    outbox.put_block([Frame(b"a"), Frame(b"b"), Frame(b"c")], left=3)
    outbox.sent(await outbox.head())
    room = asyncio.create_task(outbox.room())
    await asyncio.wait_for(room, 30)
