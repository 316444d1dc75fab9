"""Blends as a caller of the client says them, and as they go over the wire."""

from typing import Any

import pytest

from framewire.client import ParamsError
from framewire.client.options import params_from, steer_from

MIX = [("a fox", 0.3), ("a robot", 0.7)]
ON_THE_WIRE = [{"text": "a fox", "weight": 0.3}, {"text": "a robot", "weight": 0.7}]


def test_pairs_and_methods_go_as_maps_with_the_heaviest_text_as_the_prompt() -> None:
    options: dict[str, Any] = {"prompts": MIX, "blend": "slerp", "transition": "slerp"}
    expected = {
        "prompt": "a robot",
        "prompts": ON_THE_WIRE,
        "blend": {"method": "slerp"},
        "transition": {"method": "slerp"},
    }
    for message in (params_from(None, options), steer_from(**options)):  # type: ignore[arg-type]
        assert {**message.wire(), "prompts": list(message.wire()["prompts"])} == expected


def test_a_prompt_that_is_given_stays() -> None:
    assert params_from("a fox", {"prompts": MIX}).wire()["prompt"] == "a fox"


def test_no_steps_reach_servers_that_know_none_as_one() -> None:
    assert steer_from(prompt="a", interp_steps=0).wire()["interp_steps"] == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"prompts": []}, "prompts: .*more than 0"),
        ({"prompts": [("a", 0)]}, "prompts: .*more than 0"),
        ({"prompts": [("a", -1)]}, "prompts.0.weight: .*greater than or equal to 0"),
        ({"prompts": [("a", "heavy")]}, "prompts.0.weight: .*number"),
        ({"prompts": ["a fox", "a cat"]}, "prompts.0: "),
        ({"prompts": "a fox"}, "prompts: "),
        ({"prompts": [("a", 1)] * 9}, "prompts: .*at most 8"),
        ({"prompts": MIX[:1], "blend": "slerp"}, "blend: .*exactly two prompts, not 1"),
        ({"prompts": MIX, "blend": "round"}, "blend.method: "),
        ({"transition": "round"}, "transition.method: "),
        ({}, "prompt: "),
    ],
)
def test_what_cannot_be_blended_is_refused_before_it_is_sent(
    options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ParamsError, match=says):
        params_from(None, options)  # type: ignore[arg-type]


def test_a_prompt_that_is_not_among_the_texts_is_refused() -> None:
    with pytest.raises(ParamsError, match=r"prompts: .*must have `prompt` among its texts"):
        steer_from(prompt="a cat", prompts=MIX)
