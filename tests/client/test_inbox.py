"""The receive buffer: bounded either way, ends of streams kept in their place."""

import asyncio

import pytest

from framewire.client import ConnectionLost, Frame, ParamsError
from framewire.client.inbox import MOST_ENDS, Inbox


def frame(index: int) -> Frame:
    return Frame(index=index, block=None, jpeg=b"", received_at=0.0)


async def test_wait_holds_the_filler_until_a_frame_is_read() -> None:
    """The third frame of a buffer of two waits for room."""
    inbox = Inbox(2, "wait")
    await inbox.put(frame(0))
    await inbox.put(frame(1))
    third = asyncio.ensure_future(inbox.put(frame(2)))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(asyncio.shield(third), 0.02)
    assert await inbox.get() == frame(0)
    await third


async def test_newest_never_drops_the_end_of_a_stream() -> None:
    """Frames after an end push out frames before it, not the end itself."""
    inbox = Inbox(2, "newest")
    await inbox.put(frame(0))
    inbox.end_stream()
    for index in range(1, 4):
        await inbox.put(frame(index))
    assert [await inbox.get() for _ in range(3)] == [None, frame(2), frame(3)]
    assert inbox.dropped == 2


async def test_a_failure_comes_after_the_frames_and_stays() -> None:
    """The first failure is the one that counts; it is raised again each time."""
    inbox = Inbox(2, "wait")
    await inbox.put(frame(0))
    inbox.fail(ConnectionLost("first"))
    inbox.fail(ConnectionLost("second"))
    assert await inbox.get() == frame(0)
    for _ in range(2):
        with pytest.raises(ConnectionLost, match="first"):
            await inbox.get()


async def test_a_failed_stream_raises_once() -> None:
    """After refused params the next stream can be read."""
    inbox = Inbox(2, "wait")
    inbox.end_stream(ParamsError("no"))
    await inbox.put(frame(0))
    with pytest.raises(ParamsError):
        await inbox.get()
    assert await inbox.get() == frame(0)


async def test_closing_wakes_reader_and_filler() -> None:
    """Nobody hangs on a closed buffer."""
    inbox = Inbox(1, "wait")
    reading = asyncio.ensure_future(inbox.get())
    await asyncio.sleep(0)
    inbox.close()
    assert await reading is None
    full = Inbox(1, "wait")
    await full.put(frame(0))
    filling = asyncio.ensure_future(full.put(frame(1)))
    await asyncio.sleep(0)
    full.close()
    await asyncio.wait_for(filling, 30)


@pytest.mark.parametrize(("size", "policy"), [(0, "wait"), (2, "oldest")])
def test_a_buffer_that_cannot_be_is_refused(size: int, policy: str) -> None:
    """At once, not at the first frame."""
    with pytest.raises(ValueError, match="buffer"):
        Inbox(size, policy)  # type: ignore[arg-type]


async def test_ends_that_nobody_reads_are_bounded() -> None:
    """A server may say `completed`, or refuse params, for ever."""
    inbox = Inbox(4, "newest")
    taken = [inbox.end_stream() for _ in range(1000)]
    assert taken == [True] * MOST_ENDS + [False] * (1000 - MOST_ENDS)
    assert await inbox.get() is None
    assert inbox.end_stream()
