"""When changes are sent, and for what: to workers that hold them, and to those that cannot."""

import pytest

from framewire.client.commands.steer_plan import cue_of, parse_steer
from framewire.client.timeline.moves import Cue
from framewire.client.timeline.schedule import Schedule
from framewire.protocol import BlockDone, Params, Started, pack_map, unpack_map
from framewire.protocol.limits import MAX_HELD, MAX_MESSAGE_BYTES, MAX_PLANNED


def started(**shape: int) -> Started:
    return Started(
        session_id="s", seed=1, width=64, height=64, num_blocks=9, backend="testcard", **shape
    )


def block(number: int, index: int, frames: int) -> BlockDone:
    return BlockDone(block=number, index=index, frames=frames, prompt_version=1)


def schedule(*texts: str) -> Schedule:
    return Schedule([cue_of(parse_steer(text), 16) for text in texts])


def sent(plan: Schedule) -> list[tuple[str, dict[str, int]]]:
    """What is to be sent now, and for when."""
    return [(str(due.cue), due.when) for due in plan.due()]


def test_a_worker_that_tells_its_shape_holds_all_from_the_start() -> None:
    """With the params, by frame and by block; nothing is sent again."""
    plan = schedule("48f=b", "7b=c")
    assert plan.planned == [
        {"prompt": "b", "interp_steps": 1, "at_frame": 48},
        {"prompt": "c", "interp_steps": 1, "at_block": 7},
    ]
    assert sent(plan) == []
    plan.saw_event(started(first_block_frames=5, block_frames=4))
    assert [(str(one.cue), one.block) for one in plan.held()] == [("48f", 11), ("7b", 7)]
    assert sent(plan) == [] and plan.held() == []
    assert plan.waiting == [] and plan.exactness == "held from the start"


def test_more_than_goes_with_the_params_follows_as_blocks_go_by() -> None:
    """Once the worker has room again for maps that come while it streams."""
    count = MAX_PLANNED + 20
    plan = Schedule([Cue(12 * number, "f", {"prompt": str(number)}) for number in range(1, count)])
    assert len(plan.planned) == MAX_PLANNED
    plan.saw_event(started(first_block_frames=6, block_frames=12))
    assert len(plan.held()) == MAX_PLANNED and sent(plan) == []
    assert len(plan.waiting) == 19
    gone = MAX_PLANNED - MAX_HELD + 1
    plan.saw_frame(6 + 12 * (gone - 1) - 1)
    assert sent(plan) == [], "as many are held as can be"
    plan.saw_frame(6 + 12 * gone - 1)  # the last of the block of one more
    assert [when for _, when in sent(plan)] == [{"at_frame": 12 * (MAX_PLANNED + 1)}]


def test_what_goes_with_the_params_is_a_message_that_can_be_read() -> None:
    """Blends have many elements, and long prompts many bytes."""
    texts = [{"text": "é" * 8000, "weight": 1.0} for _ in range(8)]
    for values in (
        {"prompt": "0", "prompts": [{"text": str(n), "weight": 1.0} for n in range(8)]},
        {"prompt": "é" * 8000, "prompts": texts},
        {"prompt": "a", "interp_steps": 3, "transition": {"method": "slerp"}},
    ):
        plan = Schedule([Cue(12 * number, "f", values) for number in range(1, 300)])
        assert len(plan.planned) > 8
        sent_with = {"prompt": "a", "seed": 1, "steers": plan.planned}
        data = pack_map(Params.model_validate(sent_with).wire())
        assert len(data) < MAX_MESSAGE_BYTES
        assert len(unpack_map(data)["steers"]) == len(plan.planned)


def test_block_steers_are_held_by_an_older_worker_too() -> None:
    """Sent as soon as the worker has shown itself to be ours, all of them."""
    plan = schedule("7b=b", "4b=a")
    assert sent(plan) == []
    plan.saw_event(started())
    assert sent(plan) == [("4b", {"at_block": 4}), ("7b", {"at_block": 7})]
    assert plan.waiting == []


@pytest.mark.parametrize(
    ("text", "at_block"),
    [
        ("42f=a", 4), ("43f=a", 4), ("53f=a", 4), ("41f=a", 3), ("2.625s=a", 4), ("3.0s=a", 4),
        ("3f=a", 0), ("0f=a", 0), ("6f=a", 1),
    ],
)  # fmt: skip
def test_frames_and_seconds_become_the_block_that_contains_them(text: str, at_block: int) -> None:
    """Krea's shape, 6 frames and then 12 a block: block 4 is of frames 42 to 53."""
    plan = schedule(text)
    plan.saw_event(started())
    assert sent(plan) == [], "an older worker has not shown its shape"
    plan.saw_event(block(0, 0, 6))
    plan.saw_event(block(1, 6, 12))
    assert [when for _, when in sent(plan)] == [{"at_block": at_block}]


def test_another_shape_of_blocks_is_learned() -> None:
    """Presets differ: here 9 frames and then 4 a block; frame 20 is in the one from 17 on."""
    plan = schedule("20f=a")
    plan.saw_event(started())
    plan.saw_event(block(1, 9, 4))
    assert [when for _, when in sent(plan)] == [{"at_block": 3}]


@pytest.mark.parametrize(("text", "frames"), [("30f=a", 30), ("2s=a", 30), ("4b=a", 42)])
def test_other_servers_are_steered_when_the_frames_before_the_block_have_arrived(
    text: str, frames: int
) -> None:
    """They would take `at_block` for nothing and change the prompt at once."""
    plan = schedule(text)
    plan.saw_frame(frames - 2)
    assert sent(plan) == []
    plan.saw_frame(frames - 1)
    assert [when for _, when in sent(plan)] == [{}]
    assert plan.exactness == "by counting frames"


def test_what_never_came_due_is_known() -> None:
    """For the summary: a stream can be too short for its changes."""
    plan = schedule("30f=a")
    plan.saw_frame(5)
    assert sent(plan) == []
    assert [str(cue) for cue in plan.waiting] == ["30f"]
