"""The limits of a session in memory: readers, time-outs, refusals, the line and the drain."""

import asyncio

import pytest
from support.clock import time_passes
from support.engines.scripted_backend import Gate, ScriptedBackend, entered
from support.viewers.memory_viewer import (
    blocks_of,
    errors,
    frames_in,
    is_completed,
    is_event,
    ready,
    running_worker,
    texts_in,
)


async def test_a_viewer_that_does_not_read_stops_the_making_and_loses_no_frame() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend, max_sessions=2) as worker:
        slow = await ready(worker)
        slow.reads.clear()
        slow.say(prompt="a", num_blocks=10)
        other = await ready(worker)
        other.say(prompt="b", num_blocks=30)
        assert len(frames_in(await other.stream())) == 60, "the others are not held up"
        assert backend.sessions[0].block == 3
        slow.reads.set()
        assert blocks_of(await slow.stream()) == [block for block in range(10) for _ in range(2)]


async def test_a_viewer_that_stalls_is_dropped_and_its_place_freed() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend, max_sessions=1, stall_timeout=0.05) as worker:
        viewer = await ready(worker)
        viewer.reads.clear()
        viewer.say(prompt="a", num_blocks=10)
        await asyncio.wait_for(viewer.task, 60)
        assert viewer.aborted and viewer.closed is None
        assert worker.admission.taken == 0 and backend.sessions[0].closed


async def test_a_viewer_that_leaves_in_mid_block_frees_everything_without_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=10)
        await entered(gate)
        viewer.hang_up()
        gate.open()
        await asyncio.wait_for(viewer.task, 60)
        assert backend.sessions[0].closed and worker.admission.taken == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_viewer_that_leaves_while_its_stream_opens_leaves_no_session_open() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.on_open = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a")
        await entered(gate)
        viewer.hang_up()
        gate.open()
        await asyncio.wait_for(viewer.task, 60)
        assert [session.closed for session in backend.sessions] == [True]


async def test_a_slowly_paced_stream_that_fails_still_sends_its_frames_and_says_so() -> None:
    """A frame every ten seconds would outlast the farewell; what was made is sent at once."""
    backend = ScriptedBackend()

    def fail() -> None:
        raise RuntimeError("no memory")

    backend.lane[1] = fail
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=3, fps=0.1)
        said = await viewer.end()
        assert len(frames_in(said)) == 2
        assert [code for code, _ in errors(said)] == ["INTERNAL_ERROR"]


async def test_a_viewer_that_leaves_while_its_stream_closes_keeps_its_place_until_it_is_closed() -> (
    None
):
    backend, gate = ScriptedBackend(), Gate()
    backend.on_close = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=1)
        await viewer.stream()
        await entered(gate)
        viewer.hang_up()
        done, _ = await asyncio.wait([viewer.task], timeout=0.2)
        assert not done and worker.admission.taken == 1
        gate.open()
        await asyncio.wait_for(viewer.task, 60)
        assert backend.sessions[0].closed and worker.admission.taken == 0


async def test_no_params_in_time_ends_the_session_in_words() -> None:
    async with running_worker(ScriptedBackend(), ready_timeout=0.03) as worker:
        viewer = await ready(worker)
        assert errors(await viewer.end()) == [("TIMEOUT", "no params within 0.03 s")]
        assert viewer.closed is not None and viewer.closed[0] == 1008


async def test_bad_params_do_not_put_off_the_time_limit() -> None:
    async with running_worker(ScriptedBackend(), ready_timeout=10_000) as worker:
        viewer = await ready(worker)
        time_passes(6_000)
        viewer.say(prompt="  ")
        await viewer.taken_in()
        time_passes(6_000)
        assert [code for code, _ in errors(await viewer.end())][1:] == ["TIMEOUT"]


async def test_a_completed_session_is_closed_when_nothing_more_comes() -> None:
    async with running_worker(ScriptedBackend(), idle_timeout=0.03) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a")
        await viewer.stream()
        assert [code for code, _ in errors(await viewer.end())] == ["TIMEOUT"]


async def test_a_session_lasts_so_long_and_then_its_viewer_is_told() -> None:
    async with running_worker(ScriptedBackend(), session_timeout=0.2) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=10**9)
        ((code, reason),) = errors(await viewer.end())
        assert code == "TIMEOUT" and "0.2 s" in reason


async def test_bad_params_get_pydantics_errors_and_the_socket_stays_open() -> None:
    async with running_worker(ScriptedBackend()) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", width=63, strength=1.5)
        answer = await viewer.next()
        assert answer["type"] == "x-fal-error"
        assert [item["loc"] for item in answer["error"]] == [["width"], ["strength"]]
        assert {"type", "loc", "msg"} <= set(answer["error"][0])
        assert answer["reason"].startswith("width: ")
        viewer.say(prompt="a")
        assert len(frames_in(await viewer.stream())) == 4


async def test_twenty_bad_ones_in_a_row_close_and_nineteen_do_not() -> None:
    async with running_worker(ScriptedBackend()) as worker:
        viewer = await ready(worker)
        for _ in range(19):
            viewer.say_raw(b"\xc1")
        viewer.say(prompt="a", num_blocks=1)
        messages = await viewer.stream()
        assert [text["error"] for text in texts_in(messages)[:-1]] == ["BAD_MESSAGE"] * 19
        for _ in range(20):
            viewer.say(prompt="")
        assert len(errors(await viewer.end())) == 20
        assert viewer.closed is not None and viewer.closed[0] == 1008


async def test_start_frames_that_are_none_count_towards_the_twenty() -> None:
    async with running_worker(ScriptedBackend()) as worker:
        viewer = await ready(worker)
        for _ in range(20):
            viewer.say(prompt="a", start_frame=b"none")
            assert (await viewer.next())["error"][0]["loc"] == ["start_frame"]
        await viewer.end()
        assert viewer.closed is not None and viewer.closed[0] == 1008


async def test_a_bad_map_in_mid_stream_is_silent_without_events_and_counted() -> None:
    async with running_worker(ScriptedBackend()) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=2)
        for bad in (b"\xc1", b"\x93\x01\x02\x03", "text"):
            viewer.say_raw(bad)
        viewer.say(num_blocks=0)
        assert len(await viewer.stream()) == 5
        counted = worker.metrics.errors.labels("WARNING")._value.get()
        assert counted <= 4


async def test_a_full_worker_says_so_after_the_waiting_time() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[0] = gate
    async with running_worker(backend, max_sessions=1, queue_timeout=0.03) as worker:
        holder = await ready(worker)
        holder.say(prompt="a")
        await entered(gate)
        viewer = await ready(worker)
        viewer.say(prompt="b")
        ((code, reason),) = errors(await viewer.end())
        assert code == "AT_CAPACITY" and "0.03 s" in reason
        assert viewer.closed is not None and viewer.closed[0] == 1013
        gate.open()
        assert len(frames_in(await holder.stream())) == 4


async def test_with_events_a_session_waits_in_line_and_is_told_its_position() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[0] = gate
    async with running_worker(backend, max_sessions=1, queue_timeout=0.01) as worker:
        holder = await ready(worker)
        holder.say(prompt="a", num_blocks=1)
        await entered(gate)
        one, two = await ready(worker, events=True), await ready(worker)
        one.say(prompt="b")
        assert await one.next() == {"type": "queued", "position": 1}
        two.say(prompt="c", events=True)
        assert await two.next() == {"type": "queued", "position": 2}
        gate.open()
        await holder.stream()
        assert (await one.next())["type"] == "started"
        assert await two.next() == {"type": "queued", "position": 1}
        await one.stream()
        assert len(frames_in(await two.stream())) == 4


async def test_a_viewer_that_leaves_the_line_makes_way() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[0] = gate
    async with running_worker(backend, max_sessions=1) as worker:
        holder = await ready(worker)
        holder.say(prompt="a")
        await entered(gate)
        one, two = await ready(worker, events=True), await ready(worker, events=True)
        one.say(prompt="b")
        await one.next()
        two.say(prompt="c")
        assert (await two.next())["position"] == 2
        await one.gone()
        assert (await two.next())["position"] == 1
        gate.open()


async def test_a_drain_finishes_the_block_sends_it_says_so_and_closes_with_1012() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=1000)
        await entered(gate)
        drain = asyncio.create_task(worker.drain())
        await asyncio.sleep(0)
        gate.open()
        messages = await viewer.end()
        await drain
    assert blocks_of(messages) == [0, 0, 1, 1]
    ((code, reason),) = errors(messages)
    assert code == "AT_CAPACITY" and "shutting down" in reason
    assert viewer.closed is not None and viewer.closed[0] == 1012


async def test_a_drain_ends_those_who_wait_for_params_pictures_a_place_or_more_to_do() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend, max_sessions=1) as worker:
        fresh, idle = await ready(worker), await ready(worker)
        idle.say(prompt="a", num_blocks=1)
        await idle.stream()
        live = await ready(worker, events=True)
        live.say(prompt="b", webcam_mode=True)
        await live.until(is_event("started"))
        in_line = await ready(worker, events=True)
        in_line.say(prompt="c")
        assert (await in_line.next())["type"] == "queued"
        await worker.drain()
        for viewer in (fresh, idle, live, in_line):
            ((code, reason),) = errors(await viewer.end())
            assert code == "AT_CAPACITY" and "shutting down" in reason
            assert viewer.closed is not None and viewer.closed[0] == 1012


async def test_a_stream_whose_last_block_is_made_is_completed_also_in_a_drain() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=2)
        await entered(gate)
        drain = asyncio.create_task(worker.drain())
        await asyncio.sleep(0)
        gate.open()
        messages = await viewer.end()
        await drain
    assert any(is_completed(message) for message in messages)
    assert viewer.closed is not None and viewer.closed[0] == 1012


async def test_frames_are_paced() -> None:
    backend = ScriptedBackend(frames=4)
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        loop = asyncio.get_running_loop()
        began = loop.time()
        viewer.say(prompt="a", num_blocks=3, fps=100)
        assert len(frames_in(await viewer.stream())) == 12
        assert loop.time() - began >= 11 / 100
