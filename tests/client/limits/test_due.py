"""Frames beyond what was asked for: how many may come before it is an error."""

import asyncio

import pytest
from support.servers.stand_in import Peer, picture, stand_in

from framewire.client import Frame, ServerError, connect
from framewire.client.limits.due import FramesDue
from framewire.protocol import BlockDone, Params, Ready, Steer
from framewire.protocol import Frame as WireFrame


def taken(due: FramesDue, most: int = 100_000) -> int:
    """How many frames more are taken."""
    for count in range(most):
        try:
            due.take()
        except ServerError as error:
            assert error.code == "TOO_MANY_FRAMES"
            return count
    return most


def block(number: int, frames: int, index: int) -> BlockDone:
    return BlockDone(block=number, index=index, frames=frames, prompt_version=1)


def test_without_events_no_shape_of_blocks_that_may_be_is_cut_off_and_an_endless_stream_is() -> (
    None
):
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=10))
    assert 48 * 10 <= taken(due) <= 48 * 10 + 1000


def test_block_events_make_it_exact() -> None:
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=3))
    for _ in range(18):
        due.take()
    due.learn(block(0, 6, 0))
    due.learn(block(1, 12, 6))
    assert 12 <= taken(due) <= 18


def test_a_connection_that_takes_over_begins_with_a_short_block_and_makes_no_difference() -> None:
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=3))
    for _ in range(24):
        due.take()
    for number, (frames, index) in enumerate([(6, 0), (12, 6), (6, 18)]):
        due.learn(block(number, frames, index))
    assert 6 <= taken(due) <= 12


def test_a_connection_that_takes_over_before_a_whole_block_was_seen_cuts_nothing_off() -> None:
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=5))
    for _ in range(24):
        due.take()
    due.learn(block(0, 6, 0))
    due.taken_over()
    due.learn(block(2, 6, 17))
    for _ in range(30):
        due.take()
    due.learn(block(3, 12, 23))
    assert taken(due) <= 6


def test_a_length_left_out_is_the_one_before() -> None:
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=3))
    due.start(Params(prompt="b"))
    due.learn(block(1, 12, 6))
    assert taken(due) == 36


@pytest.mark.parametrize("steer", [Steer(action="reset"), Steer(num_blocks=2)])
def test_a_reset_and_another_length_count_anew(steer: Steer) -> None:
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=2))
    before = taken(due)
    due.steer(steer)
    assert taken(due) >= 96 and before >= 96


@pytest.mark.parametrize("blocks", [2, 9])
def test_blocks_that_are_under_way_when_the_length_is_steered_are_no_error(blocks: int) -> None:
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=5))
    for _ in range(42):
        due.take()
    due.steer(Steer(num_blocks=blocks))
    due.learn(block(3, 12, 30))
    assert taken(due) >= 9 * 12


def test_blocks_that_grow_are_counted_by_the_longest() -> None:
    """A decoder that warms up gives its first blocks fewer frames."""
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=100))
    index = 0
    for number, frames in enumerate([0, 9, *[12] * 98]):
        for _ in range(frames):
            due.take()
        due.learn(block(number, frames, index))
        index += frames


def test_block_events_allow_no_more_than_was_asked_for() -> None:
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=2))
    for number in range(1, 10_000):
        due.learn(block(number, 10**6, number * 10**6))
    assert taken(due) <= 96 + 1000


@pytest.mark.parametrize(("before", "pictures", "made"), [(0, 30, 12), (500, 30, 12), (0, 0, 40)])
def test_once_no_more_input_comes_the_frames_of_what_was_sent_are_the_last(
    before: int, pictures: int, made: int
) -> None:
    """A clip asks for blocks without end, and its end is what ends the stream."""
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=1_000_000))
    for _ in range(before):
        due.take()
    for _ in range(pictures):
        due.steer(Steer(image=b"x"))
    for _ in range(made):
        due.take()
    due.steer(Steer(action="end"))
    left = max(0, pictures - made)
    assert left + 12 <= taken(due) <= 4 * left + 1000


def test_an_end_that_is_held_ends_nothing_yet() -> None:
    due = FramesDue()
    due.start(Params(prompt="a", num_blocks=1000))
    due.steer(Steer(action="end", at_block=500))
    assert taken(due) >= 500 * 12


async def test_a_server_that_never_stops_ends_as_an_error_with_what_came_kept() -> None:
    async def pours(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        while True:
            await peer.say(WireFrame(jpeg=picture(0)))

    frames: list[Frame] = []
    async with stand_in(pours) as server, connect(server.url) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(ServerError, match="goes on sending"):
            async with asyncio.timeout(60):
                async for frame in session:
                    frames.append(frame)
    assert 96 <= len(frames) <= 96 + 1000
