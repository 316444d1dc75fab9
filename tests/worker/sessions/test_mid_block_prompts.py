"""Prompts that need not wait for a block, in memory: which block takes them, and what is told."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgpack
import pytest
from support.engines.scripted_backend import Gate, ScriptedBackend, entered
from support.viewers.memory_viewer import (
    MemoryViewer,
    frames_in,
    is_completed,
    is_event,
    ready,
    running_worker,
    texts_in,
    told,
)

from framewire.worker.backends.base import Change

BLOCKS = 5
SNOW = Change(prompt="snow", interp_steps=1)


class Held:
    """A stream of blocks of three passes that is held in one of them while maps are said."""

    def __init__(self, *between: tuple[int, int]) -> None:
        self.backend = ScriptedBackend(passes=3)
        self.gates = [Gate() for _ in between]
        self.backend.between.update(zip(between, self.gates, strict=True))

    async def made(self, *said: Sequence[dict[str, Any]], **params: Any) -> list[Any]:
        """All that comes of the stream, with some maps said in each place where it is held."""
        async with running_worker(self.backend) as worker:
            viewer = await ready(worker, events=True, envelope=True)
            asked = {"mid_block_prompts": True, "interp_steps": 1} | params
            viewer.say(prompt="a fox", num_blocks=BLOCKS, **asked)
            for gate, maps in zip(self.gates, said, strict=True):
                await entered(gate)
                for one in maps:
                    viewer.say(**one)
                await viewer.seen_to()
                gate.open()
            return await viewer.stream()

    @property
    def session(self) -> Any:
        return self.backend.sessions[0]


def versions(messages: list[Any]) -> dict[int, set[int]]:
    """The prompt versions that the frames of each block say."""
    found: dict[int, set[int]] = {}
    for frame in map(msgpack.unpackb, frames_in(messages)):
        found.setdefault(frame["block"], set()).add(frame["prompt_version"])
    return found


async def test_a_prompt_said_in_a_block_is_taken_before_its_next_pass() -> None:
    held = Held((2, 1))
    messages = await held.made([{"prompt": "snow"}])
    assert held.session.taken == [(2, 1, SNOW)] and held.session.changes == []
    assert told(messages) == [(2, 2, ["prompt"])]
    assert versions(messages) == {0: {1}, 1: {1}, 2: {2}, 3: {2}, 4: {2}}


async def test_without_being_asked_a_worker_lets_prompts_wait_for_the_next_block() -> None:
    held = Held((2, 1))
    messages = await held.made([{"prompt": "snow"}], mid_block_prompts=None)
    assert held.session.taken == [] and held.session.changes == [(3, SNOW)]
    assert told(messages) == [(3, 2, ["prompt"])]


async def test_of_several_prompts_a_pass_takes_the_newest_and_all_are_told() -> None:
    held = Held((1, 1), (1, 2))
    messages = await held.made([{"prompt": "rain"}, {"prompt": "snow"}], [{"prompt": "fog"}])
    assert [(block, at, one.prompt) for block, at, one in held.session.taken] == [
        (1, 1, "snow"),
        (1, 2, "fog"),
    ]
    assert held.session.changes == []
    assert versions(messages)[0] == {1} and versions(messages)[1] == {told(messages)[-1][1]}
    assert {block for block, _, _ in told(messages)} == {1}


@pytest.mark.parametrize(
    "also",
    [{"strength": 0.5}, {"num_blocks": BLOCKS}, {"at_block": 3}, {"seed": 2}],
    ids=lambda also: next(iter(also)),
)
async def test_what_changes_more_than_the_prompt_waits_for_the_next_block(also: Any) -> None:
    """So that all keys of a map take effect together."""
    held = Held((2, 1))
    messages = await held.made([{"prompt": "snow", **also}])
    assert held.session.taken == []
    ((block, change),) = held.session.changes
    assert block == 3 and replace(change, strength=None) == SNOW
    assert [one[:2] for one in told(messages)] == [(3, 2)]


async def test_the_prompt_that_is_shown_already_changes_no_block() -> None:
    held = Held((2, 1))
    messages = await held.made([{"prompt": "a fox"}])
    assert (held.session.taken, held.session.changes) == ([], [])
    assert set.union(*versions(messages).values()) == {1}


async def test_what_comes_after_the_last_pass_is_left_for_the_next_block() -> None:
    """Also what was waiting with it: the next block takes both, and is named for both."""
    held = Held()
    gate = Gate()
    held.backend.passes = 1  # nothing asks any more
    held.backend.lane[2] = gate
    async with running_worker(held.backend) as worker:
        viewer = await ready(worker, events=True, envelope=True)
        viewer.say(prompt="a fox", num_blocks=BLOCKS, mid_block_prompts=True, interp_steps=1)
        await entered(gate)
        viewer.say(prompt="snow")
        await viewer.seen_to()
        viewer.say(strength=0.5)
        await viewer.seen_to()
        gate.open()
        messages = await viewer.stream()
    assert held.session.changes == [(3, replace(SNOW, strength=0.5))]
    assert [one[:2] for one in told(messages)] == [(3, 2), (3, 2)]
    assert versions(messages) == {0: {1}, 1: {1}, 2: {1}, 3: {2}, 4: {2}}


async def test_a_reset_in_a_block_that_has_taken_a_prompt_starts_over_with_it() -> None:
    held = Held((1, 1), (1, 2))
    await held.made([{"prompt": "snow"}], [{"action": "reset"}])
    first, second = held.backend.sessions
    assert first.taken == [(1, 1, SNOW)] and second.settings.prompt == "snow"
    assert (second.taken, second.changes) == ([], [])


async def refused(viewer: MemoryViewer, **params: Any) -> str:
    viewer.say(prompt="a", mid_block_prompts=True, **params)
    *_, error = texts_in(await viewer.until(is_event("x-fal-error")))
    assert error["error"][0]["loc"] == ["mid_block_prompts"]
    return str(error["reason"])


async def test_where_a_block_takes_no_prompt_the_params_are_refused_and_others_may_follow() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        assert "leave it out" in await refused(viewer)
        viewer.say(prompt="a", num_blocks=1)
        await viewer.until(is_completed)
    able = ScriptedBackend(passes=2)
    able.defaults = replace(able.defaults, prompt_switches=("recache", "blend"))
    async with running_worker(able) as worker:
        viewer = await ready(worker, events=True)
        assert "'recache' waits for a block; ask for 'blend'" in await refused(viewer)
        viewer.say(prompt="a", num_blocks=1, prompt_switch="blend")
        await viewer.until(is_completed)
