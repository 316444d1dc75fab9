"""Frames that tell their index: what is a gap, and what begins anew."""

from collections.abc import Callable

import pytest

from framewire.client import ConnectionLost
from framewire.client.limits.order import FrameOrder
from framewire.protocol import BlockDone, Completed, Frame, Params, Started, Steer, Unknown

START = Params(prompt="a", fmt="msgpack")
STARTED = Started(session_id="s", seed=1, width=8, height=8, num_blocks=1, backend="x")


@pytest.fixture
def order() -> FrameOrder:
    found = FrameOrder("a server")
    found.sent(START)
    return found


def came(order: FrameOrder, *indices: int, streaming: bool = True) -> None:
    for index in indices:
        order.received(Frame(jpeg=b"", index=index), binary=True, streaming=streaming)


@pytest.mark.parametrize("indices", [(0, 2), (0, 1, 1), (0, 1, 0), (0, 1, 2, 2**62)])
def test_an_index_out_of_turn_is_a_gap(order: FrameOrder, indices: tuple[int, ...]) -> None:
    with pytest.raises(ConnectionLost, match="did not come"):
        came(order, *indices)


def test_a_stream_that_is_told_of_begins_with_0(order: FrameOrder) -> None:
    order.received(STARTED, binary=False, streaming=True)
    with pytest.raises(ConnectionLost):
        came(order, 1)


def test_a_reset_begins_anew_and_each_does_so_once(order: FrameOrder) -> None:
    came(order, 0, 1)
    order.sent(Steer(action="reset"))
    came(order, 2, 0, 1)
    with pytest.raises(ConnectionLost):
        came(order, 0)


def test_another_stream_begins_anew_asked_for_or_not(order: FrameOrder) -> None:
    """A prompt that crossed `completed` starts one by itself."""
    came(order, 0, 1)
    order.received(Completed(), binary=False, streaming=True)
    came(order, 0, streaming=False)
    came(order, 1)
    order.sent(START)
    came(order, 0, 1, 2)


def _short(order: FrameOrder) -> None:
    came(order, 0, 1)
    order.received(
        BlockDone(block=0, index=0, frames=3, prompt_version=1), binary=False, streaming=True
    )


def test_a_block_tells_how_many_frames_there_are(order: FrameOrder) -> None:
    _short(order)
    with pytest.raises(ConnectionLost, match="completed; frame 2 did not come"):
        order.received(Completed(), binary=False, streaming=True)


def test_a_reset_that_crossed_the_end_is_waited_for(order: FrameOrder) -> None:
    """The frames of before it may have been dropped."""
    _short(order)
    order.sent(Steer(action="reset"))
    order.received(Completed(), binary=False, streaming=True)


@pytest.mark.parametrize(
    "message", [lambda order: order.unread(), lambda order: _strange(order)], ids=["unread", "odd"]
)
def test_among_envelopes_what_is_binary_and_none_was_a_frame(
    order: FrameOrder, message: Callable[[FrameOrder], None]
) -> None:
    came(order, 0)
    with pytest.raises(ConnectionLost, match="damaged"):
        message(order)


def _strange(order: FrameOrder) -> None:
    order.received(Unknown({"imagd": b""}), binary=True, streaming=True)


def test_servers_without_envelopes_say_what_they_like() -> None:
    """fal's sends maps of its own beside bare JPEGs, whatever was asked for."""
    order = FrameOrder("a server")
    order.sent(Params(prompt="a"))
    order.unread()
    for _ in range(3):
        _strange(order)
        order.received(Frame(jpeg=b""), binary=True, streaming=True)
