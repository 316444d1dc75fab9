"""The command line's grammar of steers."""

import pytest

from framewire.client.commands.steer_plan import PlannedSteer, cue_of, parse_steer


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


@pytest.mark.parametrize(
    ("text", "at", "unit"), [("3.0s=a", 48, "f"), ("30f=a", 30, "f"), ("4b=a", 4, "b")]
)
def test_seconds_are_frames_of_the_video(text: str, at: int, unit: str) -> None:
    """At its rate; the prompt changes at once there."""
    cue = cue_of(parse_steer(text), 16)
    assert (cue.at, cue.unit, cue.values) == (at, unit, {"prompt": "a", "interp_steps": 1})
    assert str(cue) == str(parse_steer(text))
