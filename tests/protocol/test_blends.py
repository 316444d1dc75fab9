"""Blends: what a client may ask for, and when two asks are the same."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from framewire.protocol import Connection, Params, Role, State, Steer
from framewire.protocol.limits import MAX_BLENDED, MAX_WEIGHT
from framewire.protocol.prompts.blends import Blend
from framewire.protocol.steering import Steering


def mix(*parts: tuple[str, float]) -> list[dict[str, Any]]:
    return [{"text": text, "weight": weight} for text, weight in parts]


def steer(*parts: tuple[str, float], **rest: Any) -> Steer:
    return Steer.model_validate({"prompt": parts[0][0], "prompts": mix(*parts), **rest})


def running(**values: Any) -> Steering:
    return Steering(Params.model_validate({"prompt": "a", **values}))


@pytest.mark.parametrize("model", [Params, Steer])
@pytest.mark.parametrize(
    ("values", "key", "says"),
    [
        ({"prompts": mix(("b", 1))}, "prompts", "must have `prompt` among its texts"),
        ({"prompts": []}, "prompts", "must weigh more than 0"),
        ({"prompts": mix(*[("a", 1)] * (MAX_BLENDED + 1))}, "prompts", "at most 8 items"),
        ({"prompts": mix(("a", 0), ("b", 0))}, "prompts", "must weigh more than 0"),
        ({"prompts": mix(("a", -1))}, "prompts.0.weight", "greater than or equal to 0"),
        ({"prompts": mix(("a", math.inf))}, "prompts.0.weight", "finite"),
        ({"prompts": mix(("a", math.nan))}, "prompts.0.weight", "finite"),
        ({"prompts": mix(("a", MAX_WEIGHT * 2))}, "prompts.0.weight", "less than or equal"),
        ({"prompts": mix(("a", True))}, "prompts.0.weight", "not true or false"),
        ({"prompts": mix(("a", 1), (" ", 1))}, "prompts.1.text", "must not be blank"),
        ({"prompts": ["a"]}, "prompts.0", "dictionary"),
        ({"prompts": "a"}, "prompts", "tuple"),
        ({"blend": {"method": "slerp"}}, "blend", "must come with the `prompts`"),
        (
            {"prompts": mix(("a", 1), ("b", 1), ("c", 1)), "blend": {"method": "slerp"}},
            "blend",
            "exactly two prompts, not 3",
        ),
        ({"prompts": mix(("a", 1)), "blend": {"method": "cubic"}}, "blend.method", "'slerp'"),
        ({"transition": {"method": "cut"}}, "transition.method", "'linear' or 'slerp'"),
        ({"transition": "slerp"}, "transition", "dictionary"),
        ({"interp_steps": -1}, "interp_steps", "greater than or equal to 0"),
    ],
)
def test_what_cannot_be_blended_is_refused_by_name(
    model: Any, values: dict[str, Any], key: str, says: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        model.model_validate({"prompt": "a"} | values)
    (error,) = caught.value.errors()
    assert ".".join(map(str, error["loc"])) == key and says in error["msg"]


def test_prompts_without_a_prompt_are_refused() -> None:
    """Whoever does not know them would be left with nothing to show."""
    with pytest.raises(ValidationError, match="must come with `prompt`"):
        Steer.model_validate({"prompts": mix(("a", 1))})


def test_no_steps_are_one_which_is_at_once() -> None:
    assert Params.model_validate({"prompt": "a", "interp_steps": 0}).wire()["interp_steps"] == 1
    assert Steer.model_validate({"prompt": "a", "interpolation_steps": 0}).interp_steps == 1


def test_a_blend_survives_the_wire() -> None:
    sent = steer(("a", 70), ("b", 30), blend={"method": "slerp"}, transition={"method": "linear"})
    client, worker = Connection(Role.CLIENT), Connection(Role.WORKER)
    client.state = worker.state = State.STREAMING
    received = worker.receive(client.send(sent))
    assert received == sent and isinstance(received, Steer)
    assert received.shown == Blend((("a", 0.7), ("b", 0.3)), "slerp")


parts = st.lists(
    st.tuples(st.sampled_from("abc"), st.floats(0, MAX_WEIGHT)), min_size=1, max_size=MAX_BLENDED
).filter(lambda parts: any(weight for _, weight in parts))


@given(parts)
def test_weights_are_shares_of_one_and_no_text_comes_twice(parts: list[tuple[str, float]]) -> None:
    shown = steer(*parts).shown
    assert shown is not None
    texts, weights = zip(*shown.parts, strict=True)
    assert sum(weights) == pytest.approx(1) and len(set(texts)) == len(texts)
    assert all(0 <= weight <= 1 for weight in weights)
    total = sum(weight for _, weight in parts)
    for text, weight in shown.parts:
        assert weight == pytest.approx(sum(w for t, w in parts if t == text) / total)


def test_only_ratios_count_and_neither_order_nor_repetition_nor_texts_without_weight() -> None:
    shown = steer(("a", 1), ("b", 3)).shown
    for same in (
        steer(("b", 75), ("a", 25)),
        steer(("a", 0.5), ("b", 2), ("b", 1), ("a", 0.5)),
        steer(("a", 1), ("c", 0), ("b", 3)),
    ):
        assert same.shown == shown
    assert steer(("a", 1), ("b", 0)).shown == Params(prompt="a").shown


def test_the_heaviest_text_stands_for_a_blend() -> None:
    shown = steer(("a", 1), ("b", 3)).shown
    assert shown is not None and shown.text == "b"
    assert str(shown) == "b (75%) + a (25%)" and str(Params(prompt="a").shown) == "a"


def test_a_blend_is_due_as_a_whole() -> None:
    change = running(interp_steps=4)
    change.add(
        steer(("a", 1), ("b", 3), interp_steps=8, transition={"method": "slerp"}, at_block=2), 0
    )
    assert change.due(1).applied == ()
    due = change.due(2)
    assert (due.prompt, due.interp_steps, due.transition) == ("b", 8, "slerp")
    assert due.blend == Blend((("a", 0.25), ("b", 0.75)))
    assert due.applied == ("prompt", "prompts") and change.prompt_version == 2


def test_the_same_blend_in_other_words_is_no_change() -> None:
    change = running(prompts=mix(("a", 1), ("b", 1)))
    change.add(steer(("b", 50), ("a", 50)), 0)
    assert change.due(0).applied == () and change.prompt_version == 1
    change.add(steer(("b", 50), ("a", 50), blend={"method": "slerp"}), 0)
    assert change.due(0).applied == ("blend", "prompt", "prompts")


def test_other_weights_are_another_prompt() -> None:
    change = running(prompts=mix(("a", 1), ("b", 1)))
    change.add(steer(("a", 2), ("b", 1)), 0)
    due = change.due(0)
    assert due.prompt == "a" and due.blend is not None and change.prompt_version == 2


def test_a_plain_prompt_ends_the_blend_even_its_own() -> None:
    change = running(prompts=mix(("a", 3), ("b", 1)))
    change.add(Steer(prompt="a"), 0)
    due = change.due(0)
    assert (due.prompt, due.blend) == ("a", None)
    assert change.params.prompts is None and change.params.shown == Params(prompt="a").shown


def test_a_blend_that_comes_after_a_plain_prompt_and_before_it_is_due_wins() -> None:
    change = running()
    change.add(Steer(prompt="c", interp_steps=9, transition={"method": "slerp"}), 0)  # type: ignore[arg-type]
    change.add(steer(("a", 1), ("b", 1)), 0)
    due = change.due(0)
    assert due.blend is not None and (due.interp_steps, due.transition) == (None, None)


def test_a_blend_repeated_with_every_picture_does_not_undo_what_was_typed() -> None:
    """As with prompts, and the whole blend is compared."""
    change = running(prompts=mix(("a", 1), ("b", 1)))
    change.add(Steer(prompt="typed"), 0)
    change.add(steer(("b", 2), ("a", 2), image=b"picture"), 0)
    assert change.due(0).prompt == "typed"
    change.add(steer(("b", 2), ("a", 1), image=b"picture"), 1)
    assert change.due(1).blend is not None


def test_a_reset_keeps_the_blend() -> None:
    change = running()
    change.add(steer(("a", 1), ("b", 1), action="reset"), 3)
    assert change.start_over().shown == Blend((("a", 0.5), ("b", 0.5)))


def test_another_stream_keeps_the_transition_and_says_itself_what_it_shows() -> None:
    """A plain prompt is a plain prompt, also where the stream before it blended."""
    first = Params.model_validate(
        {"prompt": "a", "prompts": mix(("a", 1), ("b", 1)), "transition": {"method": "slerp"}}
    )
    after = Params(prompt="a").over(first)
    assert after.shown == Params(prompt="a").shown
    assert after.transition is not None and after.transition.method == "slerp"
    blended = Params.model_validate({"prompt": "c", "prompts": mix(("c", 1), ("d", 1))})
    assert blended.over(after).shown == blended.shown
