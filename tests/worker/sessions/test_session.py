"""A session over an in-memory socket and a scripted backend: what is said, in which order,
and what is left behind, whatever the backend does."""

import asyncio

import pytest
from support.clock import time_passes
from support.engines.scripted_backend import Gate, ScriptedBackend, entered
from support.viewers.memory_viewer import (
    blocks_of,
    errors,
    frames_in,
    is_completed,
    ready,
    running_worker,
    texts_in,
)

from framewire.protocol import MAX_SEED
from framewire.worker.backends.base import CapacityError, SettingsError


async def test_ready_then_frames_then_completed_and_nothing_else_without_events() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=3, seed=1)
        messages = await viewer.stream()
        assert blocks_of(messages) == [0, 0, 1, 1, 2, 2]
        assert len(texts_in(messages)) == 1
        await viewer.gone()
    assert backend.sessions[0].closed and viewer.closed is None


async def test_every_call_but_the_finishing_runs_on_the_one_lane() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=3)
        viewer.say(prompt="b")
        await viewer.stream()
    assert backend.sessions[0].threads == {"framewire-lane"}


async def test_the_next_block_is_made_while_the_last_one_is_finished() -> None:
    backend, gate = ScriptedBackend(), Gate()
    second = Gate()
    backend.finish[0], backend.lane[1] = gate, second
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=2)
        await entered(gate)
        await entered(second)
        second.open()
        gate.open()
        assert blocks_of(await viewer.stream()) == [0, 0, 1, 1]


async def test_blocks_are_finished_one_at_a_time_in_order_though_threads_are_free() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.finish[0] = gate
    async with running_worker(backend, codec_threads=4) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", num_blocks=5)
        await entered(gate)
        await worker.lane.run(lambda: None)
        assert [event for event in backend.events if event[0] == "finish"] == [("finish", 0)]
        gate.open()
        messages = await viewer.stream()
    assert [event[1] for event in backend.events if event[0] == "finish"] == list(range(5))
    done = [text for text in texts_in(messages) if text.get("type") == "block"]
    assert [(text["block"], text["index"], text["frames"]) for text in done] == [
        (number, 2 * number, 2) for number in range(5)
    ]
    assert {"paint", "lane", "jpeg"} <= set(done[0]["ms"])


async def test_the_backend_session_is_closed_after_its_last_block_was_finished() -> None:
    """`finish` asserts it: nothing may run on a session that was closed."""
    backend, gate = ScriptedBackend(), Gate()
    backend.finish[1] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=4)
        await entered(gate)
        viewer.hang_up()
        await asyncio.sleep(0)
        await worker.lane.run(lambda: None)
        assert not backend.sessions[0].closed
        gate.open()
        await asyncio.wait_for(viewer.task, 60)
        assert backend.sessions[0].closed


@pytest.mark.parametrize("phase", ["lane", "finish"])
async def test_a_backend_that_raises_in_mid_stream_ends_it_as_an_error_after_what_was_made(
    phase: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = ScriptedBackend()

    def broken() -> None:
        raise ZeroDivisionError("details for the log")

    (backend.lane if phase == "lane" else backend.finish)[2] = broken
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=9)
        messages = await viewer.end()
        assert blocks_of(messages) == [0, 0, 1, 1]
        assert [code for code, _ in errors(messages)] == ["INTERNAL_ERROR"]
        assert "details" not in str(errors(messages))
        assert not any(is_completed(message) for message in messages)
        assert viewer.closed is not None and viewer.closed[0] == 1011
        assert worker.admission.taken == 0 and worker.ready
        other = await ready(worker)
        other.say(prompt="a", num_blocks=2)
        assert len(frames_in(await other.stream())) == 4
    assert backend.sessions[0].closed
    assert "details for the log" in caplog.text


async def test_frames_of_the_wrong_shape_are_an_error_that_names_both_shapes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = ScriptedBackend()
    backend.wrong_shape = 1
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=3)
        messages = await viewer.end()
    assert blocks_of(messages) == [0, 0]
    assert errors(messages)[0][0] == "INTERNAL_ERROR"
    assert "(2, 72, 64, 3); expected uint8 [T, 64, 64, 3]" in caplog.text


async def test_a_backend_that_hangs_is_an_error_for_all_and_the_worker_is_not_ready() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with running_worker(backend, block_timeout=600, max_sessions=2) as worker:
        one, two = await ready(worker), await ready(worker)
        one.say(prompt="a", num_blocks=9)
        await entered(gate)
        two.say(prompt="b")
        await two.taken_in()
        time_passes(700)
        for viewer in (one, two):
            messages = await viewer.end()
            assert errors(messages) == [("INTERNAL_ERROR", "the backend hangs")]
            assert viewer.closed is not None and viewer.closed[0] == 1011
        assert not worker.ready and worker.admission.taken == 0
        gate.open()


async def test_settings_that_the_backend_refuses_are_bad_params_and_others_may_be_tried() -> None:
    backend = ScriptedBackend()

    def refuse() -> None:
        raise SettingsError("width", "too wide for this model")

    backend.on_open = refuse
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", width=128)
        answer = await viewer.next()
        assert answer["type"] == "x-fal-error"
        assert answer["error"][0]["loc"] == ["width"]
        assert answer["reason"] == "width: too wide for this model"
        assert worker.admission.taken == 0
        backend.on_open = None
        viewer.say(prompt="a")
        assert len(frames_in(await viewer.stream())) == 4


async def test_refused_params_leave_nothing_behind_for_the_next_ones() -> None:
    """Absent keys keep the values of params that were streamed, not of those that were refused."""
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", start_frame=b"no picture", num_blocks=7, width=128)
        assert (await viewer.next())["error"][0]["loc"] == ["start_frame"]
        viewer.say(prompt="b", num_blocks=1)
        assert len(frames_in(await viewer.stream())) == 2
        assert backend.sessions[0].settings.width == 64
        viewer.say(prompt="c", start_frame=b"no picture", num_blocks=7)
        assert (await viewer.next())["error"][0]["loc"] == ["start_frame"]
        viewer.say(prompt="d")
        assert len(frames_in(await viewer.stream())) == 2


async def test_no_room_on_the_backend_is_at_capacity() -> None:
    backend = ScriptedBackend()

    def refuse() -> None:
        raise CapacityError("7.7 GB more would be needed")

    backend.on_open = refuse
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a")
        assert errors(await viewer.end()) == [("AT_CAPACITY", "7.7 GB more would be needed")]
        assert viewer.closed is not None and viewer.closed[0] == 1013


async def test_new_params_on_the_same_socket_keep_what_they_leave_out() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=1, width=128, height=72, seed=5)
        await viewer.stream()
        viewer.say(prompt="b")
        await viewer.stream()
        viewer.say(prompt="c", seed=6, num_blocks=2)
        assert len(frames_in(await viewer.stream())) == 4
        await viewer.gone()
    found = [
        (s.settings.prompt, s.settings.width, s.settings.height, s.settings.seed)
        for s in backend.sessions
    ]
    assert found == [("a", 128, 72, 5), ("b", 128, 72, 5), ("c", 128, 72, 6)]
    assert all(session.closed for session in backend.sessions)


async def test_a_drawn_seed_is_reported_and_stays_in_force() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", width=100, height=71)
        started = await viewer.next()
        assert started["type"] == "started" and 0 <= started["seed"] <= MAX_SEED
        assert (started["width"], started["height"]) == (104, 72)
        assert (started["num_blocks"], started["backend"]) == (2, "scripted")
        await viewer.stream()
        viewer.say(action="reset")
        assert (await viewer.next())["seed"] == started["seed"]
        await viewer.stream()
    assert {session.settings.seed for session in backend.sessions} == {started["seed"]}
