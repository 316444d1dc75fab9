"""Steering: many maps fold into what takes effect before the next block."""

import pytest

from framewire.protocol import Params, Steer
from framewire.protocol.limits import MAX_HELD
from framewire.protocol.steering import Due, Steering

IMAGE = b"picture"


def steering(**params: object) -> Steering:
    return Steering(Params(prompt="start", **params))  # type: ignore[arg-type]


def test_nothing_asked_is_nothing_due() -> None:
    assert steering().due(3) == Due(applied=())


def test_the_newest_prompt_wins_and_is_due_once() -> None:
    change = steering()
    for number in range(10_000):
        change.add(Steer(prompt=f"number {number}", interp_steps=1 + number % 8), 1)
    due = change.due(1)
    assert (due.prompt, due.interp_steps, due.applied) == ("number 9999", 8, ("prompt",))
    assert change.due(2) == Due(applied=())
    assert change.params.prompt == "number 9999"


def test_a_newer_prompt_without_steps_does_not_inherit_the_steps_of_the_one_it_replaces() -> None:
    change = steering()
    change.add(Steer(prompt="slow", interp_steps=9), 0)
    change.add(Steer(prompt="plain"), 0)
    due = change.due(0)
    assert (due.prompt, due.interp_steps) == ("plain", None)


def test_per_key_the_newest_wins_and_keys_of_several_maps_come_together() -> None:
    change = steering(num_blocks=5, strength=0.5)
    change.add(Steer(num_blocks=7, strength=0.1), 0)
    change.add(Steer(num_blocks=9, prompt="next"), 0)
    due = change.due(0)
    assert due.applied == ("num_blocks", "prompt", "strength")
    assert (due.prompt, due.strength) == ("next", 0.1)
    assert (change.params.num_blocks, change.params.strength) == (9, 0.1)


def test_a_prompt_equal_to_the_current_target_is_no_change() -> None:
    change = steering()
    change.add(Steer(prompt="start", interp_steps=1), 0)
    assert change.due(0) == Due(applied=(), interp_steps=1)


def test_there_and_back_before_a_block_is_no_change() -> None:
    change = steering()
    change.add(Steer(prompt="other"), 0)
    change.add(Steer(prompt="start"), 0)
    assert change.due(0).prompt is None


def test_at_block_is_held_until_that_block_exactly() -> None:
    change = steering()
    change.add(Steer(prompt="at four", at_block=4), 0)
    change.add(Steer(prompt="at two", at_block=2), 0)
    assert [change.due(block).prompt for block in range(6)] == [
        None, None, "at two", None, "at four", None,
    ]  # fmt: skip


def test_at_block_in_the_past_is_due_at_once() -> None:
    change = steering()
    change.add(Steer(prompt="late", at_block=2), 5)
    assert change.due(5).prompt == "late"


def test_a_bounded_number_of_maps_is_held() -> None:
    change = steering()
    for number in range(MAX_HELD):
        change.add(Steer(prompt=f"{number}", at_block=100 + number), 0)
    with pytest.raises(OverflowError, match=str(MAX_HELD)):
        change.add(Steer(prompt="one too many", at_block=999), 0)
    assert change.due(100).prompt == "0"
    change.add(Steer(prompt="there is room again", at_block=999), 100)


def test_the_start_prompt_repeated_with_every_picture_does_not_undo_what_was_typed() -> None:
    change = steering()
    change.add(Steer(image=IMAGE, prompt="start"), 0)
    change.add(Steer(prompt="typed"), 0)
    change.add(Steer(image=IMAGE, prompt="start"), 0)
    assert change.due(0).prompt == "typed"
    change.add(Steer(image=IMAGE, prompt="start"), 1)
    assert change.due(1).prompt is None
    assert change.params.prompt == "typed"


def test_a_prompt_that_changes_from_picture_to_picture_counts() -> None:
    change = steering()
    change.add(Steer(image=IMAGE, prompt="start"), 0)
    change.add(Steer(image=IMAGE, prompt="with the picture"), 0)
    assert change.due(0).prompt == "with the picture"
    change.add(Steer(prompt="typed"), 1)
    change.add(Steer(image=IMAGE, prompt="with the picture"), 1)
    assert change.due(1).prompt == "typed"


def test_the_other_keys_of_a_picture_count_every_time() -> None:
    change = steering()
    change.add(Steer(image=IMAGE, prompt="start", strength=0.3, num_blocks=8), 0)
    due = change.due(0)
    assert due.strength == 0.3 and change.params.num_blocks == 8


def test_a_reset_starts_over_with_the_latest_values_and_nothing_held() -> None:
    change = steering(seed=1, num_blocks=5)
    change.due(0)
    change.add(Steer(prompt="later", at_block=50), 1)
    change.add(Steer(prompt="latest", strength=0.2), 1)
    change.add(Steer(action="reset", seed=9), 1)
    assert change.reset
    params = change.start_over()
    assert (params.prompt, params.seed, params.strength, params.num_blocks) == ("latest", 9, 0.2, 5)
    assert not change.reset and not change.ended
    assert change.due(50) == Due(applied=())


def test_a_reset_takes_back_an_end() -> None:
    change = steering()
    change.add(Steer(action="end"), 1)
    assert change.ended
    change.add(Steer(action="reset"), 1)
    change.start_over()
    assert not change.ended


def test_a_seed_waits_for_the_reset_that_uses_it() -> None:
    change = steering(seed=1)
    change.add(Steer(seed=5), 0)
    change.due(0)
    assert not change.reset
    change.add(Steer(action="reset"), 2)
    assert change.start_over().seed == 5


def test_live_input_stays_on_after_a_reset() -> None:
    change = steering()
    change.set_live()
    change.add(Steer(action="reset"), 0)
    assert change.start_over().webcam_mode is True


def test_a_prompt_repeated_with_pictures_does_not_undo_what_a_new_stream_was_started_with() -> None:
    """The demo app goes on sending its old prompt with each picture after a stream's end."""
    first = steering()
    first.add(Steer(image=IMAGE, prompt="with pictures"), 0)
    first.due(0)
    later = Steering(Params(prompt="typed"), first)
    later.add(Steer(image=IMAGE, prompt="with pictures"), 0)
    later.add(Steer(image=IMAGE, prompt="typed"), 0)
    assert later.due(0).prompt is None
    later.add(Steer(image=IMAGE, prompt="another"), 0)
    assert later.due(0).prompt == "another"


def test_what_follows_a_reset_is_for_the_stream_to_come_however_soon_that_starts() -> None:
    """Maps are held by its blocks, and an end ends it; what was held before is dropped."""
    change = steering()
    change.add(Steer(prompt="dropped", at_block=70), 50)
    change.add(Steer(action="reset"), 50)
    change.add(Steer(prompt="at five", at_block=5), 50)
    change.add(Steer(action="end"), 50)
    change.due(50)
    assert [steer.prompt for steer in change.held] == ["at five"]
    change.start_over()
    assert change.ended and not change.reset
    assert [change.due(block).prompt for block in (4, 5, 70)] == [None, "at five", None]


def test_a_reset_that_was_held_drops_the_maps_for_later_blocks() -> None:
    change = steering()
    change.add(Steer(prompt="later", at_block=6), 0)
    change.add(Steer(action="reset", at_block=5), 0)
    change.add(Steer(prompt="with it", at_block=5), 0)
    change.due(5)
    assert change.reset and change.held == ()
    assert change.start_over().prompt == "with it"


def test_prompts_are_counted_by_the_blocks_that_they_take_over_from() -> None:
    change = steering()
    change.add(Steer(prompt="one"), 0)
    change.add(Steer(prompt="two"), 0)
    change.due(0)
    assert change.prompt_version == 2
    change.add(Steer(prompt="two"), 1)
    change.due(1)
    assert change.prompt_version == 2
    change.add(Steer(action="reset", prompt="three"), 1)
    change.start_over()
    assert change.prompt_version == 1


def test_strengths_of_adapters_add_up_by_name_and_all_in_force_are_said() -> None:
    """The newest of each wins; what a map does not name stays, across a map of another stream too."""
    steering = Steering(Params(prompt="a", loras={"ink": 1.0}))
    steering.add(Steer(loras={"wax": 0.5}), 0)
    steering.add(Steer(loras={"wax": 0.7}), 0)
    steering.add(Steer(loras={"ink": 0.0}, at_block=3), 0)
    assert steering.due(1).loras == {"ink": 1.0, "wax": 0.7}
    assert steering.due(2).loras is None
    assert steering.due(3).loras == {"ink": 0.0, "wax": 0.7}
    following = Params(prompt="b", loras={"ink": 2.0}).over(steering.params)
    assert following.loras == {"ink": 2.0, "wax": 0.7}
