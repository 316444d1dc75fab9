"""The tally of a stream, and what is shown of it."""

import io

import pytest

from framewire.client import (
    CapacityError,
    ConnectionLost,
    Frame,
    Queued,
    Reconnected,
    Reconnecting,
    Started,
    Warned,
)
from framewire.client.commands.progress import (
    ProgressLine,
    Tally,
    connection_text,
    progress_text,
)
from framewire.client.timeline.playing import Change


def frame(index: int, version: int | None = None) -> Frame:
    return Frame(index, None, b"12345", 0.0, prompt_version=version)


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def tally(clock: Clock) -> Tally:
    return Tally(prompts=["a fox"], clock=clock)


def test_frames_bytes_and_rates(tally: Tally, clock: Clock) -> None:
    """The rate is from first to last frame; the live one is of the last two seconds."""
    clock.now = 10.0
    tally.begin()
    for index in range(9):
        clock.now = 11.0 + (index if index < 5 else 4 + (index - 4) * 0.1)
        tally.saw_frame(frame(index))
    assert (tally.frames, tally.bytes, tally.first_after) == (9, 45, 1.0)
    assert tally.fps == pytest.approx(8 / 4.4)
    assert tally.fps_now == pytest.approx(6 / 2)


def test_nothing_yet_divides_by_nothing(tally: Tally) -> None:
    """Rates of no frame and of one."""
    assert tally.fps == tally.fps_now == 0.0
    tally.saw_frame(frame(0))
    assert tally.fps == 0.0
    assert tally.as_dict()["frames"] == 1


def test_events_are_counted_in(tally: Tally) -> None:
    """Seed and size, changes as they take effect, warnings."""
    change = Change("4b", "a cat", at_block=4, after_frames=0)
    tally.saw_change(change)
    tally.saw_event(Started(session_id="s", seed=7, width=64, height=48, num_blocks=9, backend="x"))
    change.block = 4
    tally.saw_event(Warned(reason="a bad picture"))
    found = tally.as_dict()
    assert (found["seed"], found["width"], found["height"]) == (7, 64, 48)
    assert found["steers"][0]["block"] == 4
    assert found["prompts"] == ["a fox", "a cat"]
    assert found["warnings"] == ["a bad picture"]


def test_the_line_says_what_is_going_on(tally: Tally) -> None:
    """In line, waiting, streaming; long prompts are cut."""
    assert "first frame" in progress_text(tally, "a fox")
    tally.saw_event(Queued(position=3))
    assert "number 3" in progress_text(tally, "a fox")
    tally.position = None
    tally.saw_frame(frame(0))
    assert progress_text(tally, "f" * 99).endswith("f…”")
    assert "1 frames" in progress_text(tally, "a fox")


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_is_drawn_on_terminals_only(tally: Tally) -> None:
    """Logs are not filled with carriage returns."""
    terminal, file = Terminal(), io.StringIO()
    for stream in (terminal, file):
        line = ProgressLine(tally, stream)
        line.draw("a fox")
        line.draw("a fox")
        line.clear()
    assert terminal.getvalue().count("waiting") == 1
    assert terminal.getvalue().endswith("\r\x1b[2K")
    assert file.getvalue() == ""


def test_a_full_server_is_not_called_a_lost_connection() -> None:
    """It is waited for in the same way, but nothing was lost."""
    full = CapacityError("every place is taken: try again later")
    said = connection_text(Reconnecting(2, 1.5, full, 0))
    assert said == (
        "the server is full: every place is taken: try again later; attempt 2 to reconnect in 1.5 s"
    )
    lost = connection_text(Reconnecting(1, 0.5, ConnectionLost("it broke"), 18))
    assert lost.startswith("connection lost after 18 frames: it broke; ")
    assert connection_text(Reconnected(1, 2.0, 0)) == "connected again after 2.0 s, 1 attempt"
    assert connection_text(Reconnected(2, 2.0, 18)).endswith("2 attempts; going on from frame 18")


def test_warnings_of_a_server_fill_no_memory_and_no_screen(clock: Clock) -> None:
    tally = Tally(prompts=["a"], clock=clock)
    for _ in range(1000):
        tally.saw_event(Warned(reason="x" * 100_000))
    assert 0 < sum(map(len, tally.warnings)) <= 1_000_000
