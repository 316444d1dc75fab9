"""When steers are due: the command line's grammar, and what is sent when."""

import pytest

from framewire.client.commands.steer_plan import DueSteer, PlannedSteer, SteerPlan, parse_steer
from framewire.protocol import BlockDone, Started


def started() -> Started:
    return Started(session_id="s", seed=1, width=64, height=64, num_blocks=9, backend="testcard")


def block(number: int, index: int, frames: int) -> BlockDone:
    return BlockDone(block=number, index=index, frames=frames, prompt_version=1)


@pytest.mark.parametrize(
    ("text", "steer"),
    [
        ("2.5s=a cat", PlannedSteer(2.5, "s", "a cat")),
        ("30f=a=b", PlannedSteer(30, "f", "a=b")),
        (" 4B =a cat", PlannedSteer(4, "b", "a cat")),
    ],
)
def test_the_grammar(text: str, steer: PlannedSteer) -> None:
    """Seconds, frames, blocks; the first equals sign divides."""
    assert parse_steer(text) == steer


@pytest.mark.parametrize("text", ["a cat", "4=a", "s=a", "4b=", "4b", "1.5f=a", "-1f=a", "4x=a"])
def test_what_is_no_steer_is_refused_with_an_example(text: str) -> None:
    """At once, not when its time would have come."""
    with pytest.raises(ValueError, match=r"expected|whole"):
        parse_steer(text)


def test_block_steers_are_held_by_a_worker_that_can() -> None:
    """Sent as soon as the worker has shown itself to be ours, all of them."""
    late, early = parse_steer("7b=b"), parse_steer("4b=a")
    plan = SteerPlan([late, early], 16)
    assert plan.due() == []
    plan.saw_event(started())
    assert plan.due() == [DueSteer(early, 4), DueSteer(late, 7)]
    assert plan.is_empty


@pytest.mark.parametrize(
    ("text", "at_block"),
    [("42f=a", 4), ("43f=a", 5), ("41f=a", 4), ("2.625s=a", 4), ("3f=a", 1), ("0f=a", 0)],
)
def test_frames_and_seconds_become_the_next_block_that_begins(text: str, at_block: int) -> None:
    """Krea's shape, 6 frames and then 12 a block: block 4 begins at frame 42."""
    plan = SteerPlan([parse_steer(text)], 16)
    plan.saw_event(started())
    plan.saw_event(block(0, 0, 6))
    plan.saw_event(block(1, 6, 12))
    assert [due.at_block for due in plan.due()] == [at_block]


def test_another_shape_of_blocks_is_learned() -> None:
    """Presets differ: here 9 frames and then 4 a block."""
    plan = SteerPlan([parse_steer("20f=a")], 16)
    plan.saw_event(started())
    plan.saw_event(block(1, 9, 4))
    assert [due.at_block for due in plan.due()] == [4]


@pytest.mark.parametrize(("text", "frames"), [("30f=a", 30), ("2s=a", 32), ("4b=a", 42)])
def test_other_servers_are_steered_when_the_frames_before_have_arrived(
    text: str, frames: int
) -> None:
    """They would take `at_block` for nothing and change the prompt at once."""
    plan = SteerPlan([parse_steer(text)], 16)
    plan.saw_frame(frames - 2)
    assert plan.due() == []
    plan.saw_frame(frames - 1)
    assert [due.at_block for due in plan.due()] == [None]


def test_what_never_came_due_is_known() -> None:
    """For the summary: a stream can be too short for its steers."""
    plan = SteerPlan([parse_steer("30f=a")], 16)
    plan.saw_frame(5)
    assert plan.due() == []
    assert plan.waiting() == ["30f"]
