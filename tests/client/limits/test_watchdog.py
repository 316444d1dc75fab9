"""The watchdog: when silence is a stall, and when it is not."""

import asyncio
from collections.abc import Callable

import pytest

from framewire.client import StallError
from framewire.client.limits.watchdog import PLACE_SECONDS, REPEATS_AFTER, Watchdog
from framewire.protocol import BlockDone, Frame, Params, Queued, Started, Steered, Warned

FRAME = Frame(jpeg=b"")


class Clocked(Watchdog):
    """With a clock that the test turns, and a look that it takes itself."""

    def __init__(self) -> None:
        self.now = 0.0
        self.stalls: list[StallError] = []
        super().__init__(10.0, 60.0, self.stalls.append)

    def _now(self) -> float:
        return self.now

    def is_stalled_after(self, seconds: float) -> bool:
        self.now += seconds
        self._look()
        return bool(self.stalls)


@pytest.fixture
async def dog() -> Clocked:
    return Clocked()


async def test_the_first_frame_may_take_longer(dog: Clocked) -> None:
    """Encoding a prompt and warming up take their time; the frames after that do not."""
    dog.start(Params(prompt="a"))
    assert not dog.is_stalled_after(59)
    dog.heard(FRAME)
    assert not dog.is_stalled_after(9)
    assert dog.is_stalled_after(2)


async def test_a_worker_that_never_answers(dog: Clocked) -> None:
    """The params were sent, and nothing at all came."""
    dog.start(Params(prompt="a"))
    assert dog.is_stalled_after(61)
    assert "no answer" in str(dog.stalls[0])


WORDS = [
    Warned(reason="still here"),
    Steered(block=1, prompt_version=1),
    Started(session_id="s", seed=1, width=8, height=8, num_blocks=1, backend="x"),
    BlockDone(block=1, index=6, frames=0, prompt_version=1),
]


@pytest.mark.parametrize("words", WORDS, ids=lambda words: type(words).__name__)
async def test_words_without_frames_do_not_keep_it_quiet_for_ever(
    dog: Clocked, words: Warned | Steered | Started | BlockDone
) -> None:
    dog.start(Params(prompt="a"))
    dog.heard(FRAME)
    for _ in range(100):
        if dog.is_stalled_after(5):
            return
        dog.heard(words)
    raise AssertionError("it was quiet for 500 s")


async def test_a_place_in_the_line_that_comes_no_nearer_is_no_progress(dog: Clocked) -> None:
    dog.start(Params(prompt="a"))
    dog.heard(Queued(position=3))
    dog.heard(FRAME)
    dog.heard(Queued(position=3))
    assert dog.is_stalled_after(11)


async def test_once_frames_have_come_a_place_in_the_line_is_no_excuse(dog: Clocked) -> None:
    """Whatever place: a worker's stream keeps the one that it has."""
    dog.start(Params(prompt="a"))
    dog.heard(Queued(position=3))
    dog.heard(FRAME)
    dog.heard(Queued(position=1))
    assert dog.is_stalled_after(11)


async def test_a_place_that_never_comes_nearer_is_a_stall_in_the_end(dog: Clocked) -> None:
    """After longer than any stream before it may last."""
    dog.start(Params(prompt="a"))
    dog.heard(Queued(position=3))
    assert not dog.is_stalled_after(PLACE_SECONDS - 1)
    dog.heard(Queued(position=2))
    assert not dog.is_stalled_after(PLACE_SECONDS - 1)
    dog.heard(Queued(position=2))
    assert dog.is_stalled_after(2)
    assert "place in the line" in str(dog.stalls[0])


async def test_another_stream_may_stand_in_line_again(dog: Clocked) -> None:
    dog.start(Params(prompt="a"))
    dog.heard(FRAME)
    dog.stop()
    dog.resume()
    dog.heard(Queued(position=3))
    assert not dog.is_stalled_after(1000)


def _queue(dog: Clocked) -> None:
    dog.heard(Queued(position=3))


def _hold(dog: Clocked) -> None:
    dog.heard(FRAME)
    dog.hold()


@pytest.mark.parametrize("excuse", [_queue, _hold])
async def test_silence_with_an_excuse(dog: Clocked, excuse: Callable[[Clocked], None]) -> None:
    """A place in the queue, or a reader who is slow himself: no limit."""
    dog.start(Params(prompt="a"))
    excuse(dog)
    assert not dog.is_stalled_after(1000)


async def test_live_input_without_pictures_is_silent_by_right(dog: Clocked) -> None:
    """It waits for us; once pictures were sent, the worker repeats the newest after 10 s."""
    dog.start(Params(prompt="a", webcam_mode=True))
    assert not dog.is_stalled_after(1000)
    dog.sent_picture()
    dog.heard(FRAME)
    assert not dog.is_stalled_after(REPEATS_AFTER + 9)
    assert dog.is_stalled_after(2)


async def test_a_paced_stream_may_be_silent_for_a_block(dog: Clocked) -> None:
    """At one frame a second a block takes twelve."""
    dog.start(Params(prompt="a", fps=1))
    dog.heard(FRAME)
    assert not dog.is_stalled_after(21)
    assert dog.is_stalled_after(2)


async def test_no_limit_can_be_asked_for() -> None:
    """None means none."""
    stalls: list[StallError] = []
    dog = Watchdog(None, None, stalls.append)
    dog.start(Params(prompt="a"))
    dog._alive_at -= 1e6
    dog._look()
    dog.stop()
    assert not stalls


async def test_it_looks_by_itself() -> None:
    """With the real clock and the loop's timer."""
    stalled = asyncio.Event()
    dog = Watchdog(0.01, 5.0, lambda error: stalled.set())
    dog.start(Params(prompt="a"))
    dog.heard(FRAME)
    async with asyncio.timeout(30):
        await stalled.wait()
