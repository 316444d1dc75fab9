"""Steering a session in memory: what reaches the backend when, and no reset or end is lost."""

import asyncio
from typing import Any

import pytest
from support.engines.scripted_backend import Gate, ScriptedBackend, entered
from support.viewers.memory_viewer import (
    MemoryViewer,
    blocks_of,
    frames_in,
    is_completed,
    is_event,
    picture,
    ready,
    running_worker,
    texts_in,
)

from framewire.worker.backends.base import Change


async def test_all_keys_of_a_map_reach_the_backend_together_before_the_next_block() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", num_blocks=4)
        await entered(gate)
        viewer.say(prompt="not yet", strength=0.5, interp_steps=9)
        viewer.say(prompt="b", strength=0.25, num_blocks=5, interpolation_steps=2)
        await viewer.taken_in()
        gate.open()
        messages = await viewer.stream()
    assert backend.sessions[0].changes == [(2, Change(prompt="b", interp_steps=2, strength=0.25))]
    (steered,) = [text for text in texts_in(messages) if text.get("type") == "steered"]
    assert steered == {
        "type": "steered", "block": 2, "prompt_version": 2,
        "applied": ["num_blocks", "prompt", "strength"],
        "values": {
            "num_blocks": 5, "prompt": "b", "strength": 0.25,
            "interp_steps": 2, "transition": {"method": "linear"},
        },
    }  # fmt: skip
    assert backend.events.count(("lane", 4)) == 1 and ("lane", 5) not in backend.events


async def test_interp_steps_come_from_the_map_then_the_params_then_the_preset() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        for given, said, expected in ((None, 7, 7), (9, None, 9), (9, 3, 3), (None, None, 4)):
            viewer = await ready(worker)
            viewer.say(prompt="a", num_blocks=3, interp_steps=given)
            viewer.say(prompt="b", at_block=1, interp_steps=said)
            await viewer.stream()
            ((block, change),) = backend.sessions[-1].changes
            assert (block, change.interp_steps) == (1, expected)
            await viewer.gone()


async def test_maps_that_come_with_the_params_take_effect_where_they_say() -> None:
    """By frame or by block: frame 7 of blocks of two is in block 3. They need no other message."""
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        steers = [
            {"prompt": "c", "interp_steps": 1, "at_frame": 7},
            {"prompt": "b", "interp_steps": 2, "at_block": 1},
        ]
        viewer.say(prompt="a", num_blocks=5, steers=steers, seed=3)
        messages = await viewer.stream()
        viewer.say(prompt="d")  # another stream, which keeps none of them
        await viewer.stream()
    first, second = backend.sessions
    assert first.changes == [
        (1, Change(prompt="b", interp_steps=2)),
        (3, Change(prompt="c", interp_steps=1)),
    ]
    assert second.changes == []
    (started,) = [text for text in texts_in(messages) if text.get("type") == "started"]
    assert (started["first_block_frames"], started["block_frames"], started["fps"]) == (2, 2, 16)
    assert started["params"] == {
        "prompt": "a", "num_blocks": 5, "seed": 3, "width": 64, "height": 64,
    }  # fmt: skip
    assert started["made_with"]["backend"] == "scripted"


async def test_pictures_and_resets_cannot_come_with_the_params_to_be_held() -> None:
    async with running_worker(ScriptedBackend()) as worker:
        for held in ({"action": "reset"}, {"image": picture()}):
            viewer = await ready(worker)
            viewer.say(prompt="a", steers=[{"at_block": 1, **held}])
            (refused,) = [text for text in texts_in([await viewer.next()]) if "error" in text]
            assert "a picture or a reset cannot be held" in refused["reason"]
            await viewer.gone()


async def test_what_comes_after_the_last_frame_and_starts_nothing_is_dropped() -> None:
    async with running_worker(ScriptedBackend()) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=1)
        await viewer.stream()
        viewer.say(image=picture(), prompt="a", num_blocks=1000, strength=0.5)
        viewer.say(num_blocks=9)
        viewer.say(action="end")
        viewer.say(prompt="b")
        messages = await viewer.stream()
        assert len(messages) == 3, "one block and completed"
        assert worker.metrics.pictures_dropped._value.get() == 1


async def test_a_reset_after_completed_starts_over_even_with_a_picture_in_the_map() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        for extra in ({}, {"image": picture()}, {"seed": 9}):
            viewer.say(prompt="a", num_blocks=1, seed=3)
            await viewer.stream()
            viewer.say(action="reset", **extra)
            assert len(frames_in(await viewer.stream())) == 2
        assert backend.sessions[-1].settings.seed == 9


async def test_a_reset_drops_the_stale_frames_and_starts_with_the_latest_values() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.reads.clear()
        viewer.say(prompt="a", num_blocks=9, seed=1)
        while backend.events.count(("lane", 2)) == 0:
            await worker.lane.run(lambda: None)
        viewer.say(prompt="b", action="reset", seed=2)
        while len(backend.sessions) < 2:
            await worker.lane.run(lambda: None)
        viewer.reads.set()
        stale = await viewer.until(
            lambda message: is_event("started")(message) and message["seed"] == 2
        )
        assert len(frames_in(stale)) <= 1, "but for the one that was being sent"
        assert len(frames_in(await viewer.stream())) == 18
    old, new = backend.sessions
    assert old.closed and old.block == 3
    assert (new.settings.prompt, new.settings.seed) == ("b", 2)


async def test_a_reset_while_a_block_is_made_flushes_at_once_what_waits_unread() -> None:
    """The lane may be busy for long: no stale frame is sent until it comes back."""
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[2] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.reads.clear()
        viewer.say(prompt="a", num_blocks=9, seed=1)
        await entered(gate)
        viewer.say(action="reset", seed=2)
        viewer.say(num_blocks="nonsense")
        await viewer.taken_in()
        viewer.reads.set()
        stale = await viewer.until(is_event("warning"))
        assert len(frames_in(stale)) <= 1
        gate.open()
        fresh = await viewer.stream()
        assert blocks_of(fresh) == [block for block in range(9) for _ in range(2)]


async def test_maps_right_behind_a_reset_are_for_the_stream_that_it_starts() -> None:
    """Although the old one has not stopped yet: nothing is lost to the worker's pace."""
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[3] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", num_blocks=9)
        await entered(gate)
        viewer.say(action="reset")
        viewer.say(prompt="b", at_block=2)
        viewer.say(action="end", at_block=4)
        await viewer.taken_in()
        gate.open()
        await viewer.stream()
    _, new = backend.sessions
    assert [(block, change.prompt) for block, change in new.changes] == [(2, "b")]
    assert new.block == 4


async def test_an_end_right_behind_a_reset_ends_live_input_that_has_not_begun() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", num_blocks=9, webcam_mode=True)
        for red in range(4):
            viewer.say(image=picture(red))
            await viewer.taken_in()
            if red == 1:
                await viewer.until(is_event("block"))
        await entered(gate)
        viewer.say(action="reset")
        viewer.say(action="end")
        await viewer.taken_in()
        gate.open()
        await viewer.stream()
    assert [session.block for session in backend.sessions] == [2, 0]


@pytest.mark.parametrize("turns", range(8))
async def test_a_reset_in_the_moment_of_the_last_frame_is_never_lost(turns: int) -> None:
    """Whether it is read just before or just after `completed`, the stream starts over."""
    backend = ScriptedBackend(frames=1)
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        sent = 0

        async def on_send(data: bytes | str) -> None:
            nonlocal sent
            sent += 1
            if sent == 2:
                viewer.say(action="reset")
                for _ in range(turns):
                    await asyncio.sleep(0)

        viewer.on_send = on_send
        viewer.say(prompt="a", num_blocks=2)
        messages = await viewer.until(lambda _: sent >= 4)
        assert len(frames_in(messages)) + len(frames_in(await rest(viewer, messages))) >= 3
        assert len(backend.sessions) == 2


async def rest(viewer: MemoryViewer, messages: list[Any]) -> list[Any]:
    return [] if is_completed(messages[-1]) else await viewer.stream()


async def test_a_longer_stream_asked_for_in_time_goes_on_and_a_shorter_one_stops() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with running_worker(backend) as worker:
        for wanted, made in ((5, 5), (1, 2), (2, 2)):
            viewer = await ready(worker, events=True)
            viewer.say(prompt="a", num_blocks=3)
            await entered(gate)
            viewer.say(num_blocks=wanted)
            viewer.say(num_blocks="nonsense")
            before = await viewer.until(is_event("warning"))
            gate.open()
            assert len(frames_in(before + await viewer.stream())) == 2 * made
            await viewer.gone()
            gate = backend.lane[1] = Gate()


async def test_end_completes_after_the_block_under_way() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", num_blocks=1000)
        await entered(gate)
        viewer.say(action="end")
        viewer.say(num_blocks="nonsense")
        before = await viewer.until(is_event("warning"))
        gate.open()
        assert blocks_of(before + await viewer.stream()) == [0, 0, 1, 1]


async def test_a_prompt_a_message_cannot_starve_the_frames() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="start", num_blocks=50)
        for number in range(10_000):
            viewer.say(prompt=f"number {number}", interp_steps=1)
        assert len(frames_in(await viewer.stream())) == 100
        asked = [change.prompt for _, change in backend.sessions[0].changes]
        assert asked[-1] == "number 9999" and len(asked) < 60
