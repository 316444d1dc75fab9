"""Feeding a clip: which frames are its own, how far it goes ahead, and what it leaves out."""

import asyncio
from pathlib import Path

import pytest
from PIL import Image

from framewire.client.errors import InputError
from framewire.client.frames import Frame
from framewire.client.live_input import feed as feed_module
from framewire.client.live_input.clip import Clip, clip_from
from framewire.client.live_input.feed import AHEAD, LEAD, Feed
from framewire.protocol import Warned


def frame(request_id: str | None) -> Frame:
    return Frame(index=0, block=0, jpeg=b"", received_at=0.0, request_id=request_id)


def test_frames_of_the_lead_and_of_padding_are_left_out() -> None:
    """Each picture gets the first frame that was made from it."""
    feed = Feed(Clip("clip", "all"))
    feed.sent = 3
    told = ["lead", "lead", "0", "0", "1", "2", "2", "2"]
    assert [feed.takes(frame(one)) for one in told] == [
        False, False, True, False, True, True, False, False,
    ]  # fmt: skip


def test_servers_that_do_not_tell_give_as_many_frames_as_were_sent() -> None:
    feed = Feed(Clip("clip", "all"))
    feed.sent = 3
    assert [feed.takes(frame(None)) for _ in range(5)] == [True] * 3 + [False] * 2


class Listener:
    """In a session's place: takes pictures, and says when so many came."""

    def __init__(self) -> None:
        self.ids: list[str | None] = []
        self.ended = False
        self._came = asyncio.Condition()

    async def send_image(self, jpeg: bytes, *, request_id: str | None = None) -> bool:
        async with self._came:
            self.ids.append(request_id)
            self._came.notify_all()
        return True

    async def end(self) -> bool:
        self.ended = True
        return True

    async def until(self, count: int) -> None:
        async with self._came, asyncio.timeout(60):
            await self._came.wait_for(lambda: len(self.ids) >= count)


async def test_no_more_than_two_blocks_are_on_their_way(tmp_path: Path) -> None:
    """The rest waits for frames to come back."""
    for number in range(40):
        Image.new("RGB", (8, 8)).save(tmp_path / f"{number:03d}.png")
    feed, listener = Feed(clip_from(str(tmp_path))), Listener()
    running = asyncio.create_task(feed.run(listener))
    for number in range(40):
        await listener.until(LEAD + min(40, AHEAD + number))
        assert len(listener.ids) == LEAD + min(40, AHEAD + number)
        assert feed.takes(frame(str(number)))
    await asyncio.wait_for(running, 60)
    assert listener.ids == ["lead"] * LEAD + [str(number) for number in range(40)]
    assert listener.ended


def folder_of(folder: Path, good: int, bad: int) -> Clip:
    """A folder of so many pictures, the bad ones last but one."""
    for number in range(good):
        Image.new("RGB", (8, 8)).save(folder / f"{number:03d}.png")
    for number in range(bad):
        (folder / f"{good - 2:03d} {number}.png").write_bytes(b"nothing")
    return clip_from(str(folder))


async def test_bad_pictures_are_named_and_left_out_and_the_stream_goes_on(tmp_path: Path) -> None:
    told: list[str] = []
    feed = Feed(folder_of(tmp_path, 5, 3))
    feed.on_unusable = lambda one: told.append(str(one))
    listener = Listener()
    await asyncio.wait_for(feed.run(listener), 60)
    assert listener.ids == ["lead"] * LEAD + [str(number) for number in range(5)]
    assert told == [
        f"003 {number}.png: is no picture (a JPEG, PNG or WebP is one)" for number in range(3)
    ]
    assert [feed.takes(frame(str(number))) for number in range(5)] == [True] * 5
    feed.check()
    assert (feed.used, feed.total) == (5, 8)


async def test_where_nothing_can_be_used_the_feed_has_failed(tmp_path: Path) -> None:
    for number in range(3):
        (tmp_path / f"{number}.jpg").write_bytes(b"nothing")
    feed, listener = Feed(clip_from(str(tmp_path))), Listener()
    await asyncio.wait_for(feed.run(listener), 60)
    assert (feed.used, feed.total, listener.ids) == (0, 3, [])
    assert listener.ended
    with pytest.raises(InputError, match=r"no picture of .* can be used"):
        feed.check()


async def test_a_picture_that_the_worker_refused_counts_as_answered(tmp_path: Path) -> None:
    """However many they are, the feed never waits for their frames; they are no failure."""
    feed, listener = Feed(folder_of(tmp_path, AHEAD + 8, 0)), Listener()
    running = asyncio.create_task(feed.run(listener))
    await listener.until(LEAD + AHEAD)
    for number in range(AHEAD):
        feed.saw_event(Warned(reason="the picture is damaged", request_id=str(number)))
    await asyncio.wait_for(running, 60)
    for number in range(AHEAD, AHEAD + 8):
        assert feed.takes(frame(str(number)))
    feed.check()
    assert (feed.used, feed.total) == (8, AHEAD + 8)
    assert str(feed.unusable[0]) == "picture 1: refused: the picture is damaged"


async def test_a_server_that_drops_pictures_without_a_word_stalls_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a while without frames the next picture is sent all the same."""
    monkeypatch.setattr(feed_module, "PATIENCE", 0.01)
    feed, listener = Feed(folder_of(tmp_path, AHEAD + 4, 0)), Listener()
    await asyncio.wait_for(feed.run(listener), 30)
    assert len(listener.ids) == LEAD + AHEAD + 4
