"""Which frame shows a change first, and which prompt each frame shows."""

from framewire.client.timeline.shown import Change, Shown
from framewire.protocol import Steered


def by_hand(text: str | None, *keys: str) -> Change:
    return Change(text or "x", text, None, 0, keys=frozenset(keys or ("prompt",)), sent_at=1.0)


def told(block: int, *applied: str) -> Steered:
    return Steered(block=block, prompt_version=2, applied=applied or ("prompt",))


def test_a_change_by_hand_shows_where_the_worker_says() -> None:
    """Not before, however many blocks were under way."""
    seen: list[Change] = []
    shown = Shown("a", seen.append)
    change = by_hand("b")
    shown.expect(change, None)
    shown.saw(4, 2.0)
    assert (shown.text, shown.asked, seen) == ("a", "b", [])
    shown.told(told(6))
    shown.saw(5, 2.5)
    assert shown.text == "a"
    shown.saw(6, 3.5)
    shown.saw(6, 4.0)
    assert (shown.text, seen, change.block, change.seconds) == ("b", [change], 6, 2.5)


def test_one_that_is_planned_for_later_hides_none_by_hand() -> None:
    """Each shows in its turn, and the later one stays."""
    shown = Shown("a")
    planned = Change("9b", "z", 9, 0, keys=frozenset({"prompt"}))
    shown.expect(planned, 9)
    shown.expect(by_hand("b"), None)
    shown.told(told(3))
    assert shown.is_planned and planned.block is None
    shown.saw(3, 1.0)
    assert shown.text == "b"
    shown.told(told(9))
    shown.saw(9, 2.0)
    assert (shown.text, shown.asked, shown.is_planned, planned.block) == ("z", "z", False, 9)


def test_the_newest_of_two_wins_and_the_other_was_replaced() -> None:
    shown = Shown("a")
    first, other, second = by_hand("b"), by_hand(None, "strength"), by_hand("c")
    for change in (first, other, second):
        shown.expect(change, None)
    shown.told(told(2, "prompt", "strength"))
    shown.saw(2, 5.0)
    assert (first.is_replaced, other.is_replaced, second.is_replaced) == (True, False, False)
    assert first.shown_at is None and second.shown_at == other.shown_at == 5.0
    assert shown.text == "c"


def test_another_key_s_word_is_not_taken_for_its_own() -> None:
    shown = Shown("a")
    change = by_hand(None, "strength")
    shown.expect(change, None)
    shown.told(told(2, "prompt"))
    assert change.block is None


def test_a_reset_shows_with_the_first_frame_after_it_and_with_the_prompt_asked_for() -> None:
    seen: list[Change] = []
    shown = Shown("a", seen.append)
    reset, change = by_hand(None, "seed"), by_hand("b")
    shown.expect(change, None)
    shown.expect_reset(reset)
    shown.saw(8, 2.0)
    assert seen == []
    shown.start_over(3.0)
    shown.saw(0, 3.0)
    assert (seen, shown.text, reset.seconds) == ([change, reset], "b", 2.0)


def test_what_is_asked_for_behind_a_reset_shows_where_the_worker_says() -> None:
    """Not with the reset's first frame, which has the prompt that the stream begins with."""
    seen: list[Change] = []
    shown = Shown("a", seen.append)
    reset, before, after = by_hand(None), by_hand("b"), by_hand("c")
    shown.expect(before, None)
    shown.expect_reset(reset)
    shown.begin_again("b")
    shown.expect(after, None)
    shown.told(told(1))
    shown.start_over(3.0)
    shown.saw(0, 3.0)
    assert (seen, shown.text, shown.asked) == ([before, reset], "b", "c")
    shown.saw(1, 4.0)
    assert (seen, shown.text, after.block) == ([before, reset, after], "c", 1)


def test_what_the_worker_heard_before_it_started_over_shows_with_that() -> None:
    """Of two prompts the newer one; it tells of neither, since they are in force from the start."""
    seen: list[Change] = []
    shown = Shown("a", seen.append)
    older, newer, reset = by_hand("b"), by_hand("c"), by_hand(None)
    shown.expect(older, None)
    shown.expect_reset(reset)
    shown.expect(newer, None)
    shown.begin_again("c")
    shown.start_over(3.0)
    assert (seen, shown.text, older.is_replaced) == ([newer, reset], "c", True)
    shown.told(told(2))
    shown.go_on(3)
    shown.saw(3, 5.0)
    assert seen == [newer, reset]


def test_a_server_that_tells_nothing_is_taken_to_show_it_at_the_block_it_was_sent_for() -> None:
    shown = Shown("a")
    shown.expect(by_hand("b"), 3)
    shown.saw(2, 1.0)
    assert shown.text == "a"
    shown.saw(3, 1.0)
    assert shown.text == "b"


def test_what_the_worker_could_not_tell_any_more_is_in_force_on_the_next_connection() -> None:
    """Not so where it was told of, or is planned for later."""
    shown = Shown("a")
    change, planned = by_hand("b"), Change("9b", "z", 9, 0, keys=frozenset({"prompt"}))
    shown.expect(planned, 9)
    shown.expect(change, None)
    shown.go_on(4)
    shown.saw(4, 3.0)
    assert (shown.text, change.seconds, change.block, planned.shown_at) == ("b", 2.0, None, None)
