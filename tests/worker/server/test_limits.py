"""Limits over real sockets: places, time-outs, viewers that do not read, and the way back."""

import asyncio
import time
import tracemalloc
from contextlib import AsyncExitStack
from typing import Any

import pytest
from support.clock import at_rest, time_passes
from support.engines.scripted_backend import Gate, ScriptedBackend
from support.servers.worker_server import PATIENCE, Running, serving
from support.viewers.raw_viewer import SMALL, Closed, colour, connected, opened, streamed

ENDLESS = {"prompt": "a", "num_blocks": 10**9} | SMALL
NO_PINGS: dict[str, Any] = {"ping_interval": None}
"""For a clock that jumps: a ping's answer would be overdue."""


async def idle(worker: Running) -> None:
    """Wait until no stream is under way: a place is given back soon after `completed`."""
    async with asyncio.timeout(PATIENCE):
        while worker.inside.admission.taken:  # noqa: ASYNC110 (it tells nobody)
            await asyncio.sleep(0)


async def places_free(worker: Running) -> None:
    """Wait until every place can be taken; a place is freed soon after a close."""
    async with asyncio.timeout(PATIENCE), AsyncExitStack() as places:
        for _ in range(worker.inside.config.max_sessions):
            await places.enter_async_context(
                worker.inside.admission.place(PATIENCE, lambda _: None)
            )
    assert worker.inside.admission.taken == 0


async def test_a_full_worker_turns_away_after_its_waiting_time_and_not_before() -> None:
    async with serving(max_sessions=1, queue_timeout=0.2) as worker:
        async with connected(worker.url) as holder, connected(worker.url) as viewer:
            await holder.say(**(ENDLESS | {"fps": 100}))
            await holder.frame()
            began = time.monotonic()
            await viewer.say(**ENDLESS)
            received = await viewer.end()
            assert time.monotonic() - began >= 0.2
            assert received.texts[0]["error"] == "AT_CAPACITY"
            assert received.last.code == 1013
            await holder.frame(20)
        await places_free(worker)


async def test_with_events_one_waits_in_line_and_gets_the_place_when_it_comes_free() -> None:
    async with (
        serving(max_sessions=1, queue_timeout=0.05) as worker,
        connected(worker.url) as holder,
        connected(worker.url + "?events=1") as viewer,
    ):
        await holder.say(**(ENDLESS | {"fps": 100}))
        await holder.frame()
        await viewer.say(prompt="b", num_blocks=1, **SMALL)
        assert await viewer.next() == {"type": "queued", "position": 1}
        await holder.frame(20)
        await holder.socket.close()
        assert (await viewer.next())["type"] == "started"
        assert len((await viewer.stream()).frames) == 6


async def test_a_full_line_turns_away_at_once_also_with_events() -> None:
    async with serving(max_sessions=1, queue=0) as worker, connected(worker.url) as holder:
        await holder.say(**(ENDLESS | {"fps": 100}))
        await holder.frame()
        async with connected(worker.url + "?events=1") as viewer:
            await viewer.say(**ENDLESS)
            received = await viewer.end()
            assert received.texts[0]["error"] == "AT_CAPACITY" and received.last.code == 1013


async def test_no_params_in_time_is_said_then_closed() -> None:
    async with serving(ready_timeout=0.05) as worker, connected(worker.url) as viewer:
        received = await viewer.end()
        assert received.texts[0]["error"] == "TIMEOUT" and received.last.code == 1008


async def test_an_idle_session_is_said_then_closed_and_params_in_time_keep_it() -> None:
    async with serving(idle_timeout=1000) as worker, connected(worker.url, **NO_PINGS) as viewer:
        for _ in range(3):
            await viewer.say(prompt="a", num_blocks=1, **SMALL)
            await viewer.stream()
            await idle(worker)
            time_passes(600)
        time_passes(600)
        received = await viewer.end()
        assert received.texts[0]["error"] == "TIMEOUT" and not received.frames


async def test_a_session_that_lasts_too_long_gets_its_frames_then_the_reason() -> None:
    limits = {"session_timeout": 1000, "stall_timeout": 2000}
    async with serving(**limits) as worker, connected(worker.url, **NO_PINGS) as viewer:
        await viewer.say(**(ENDLESS | {"fps": 100}))
        await viewer.frame(20)
        time_passes(1100)
        received = await viewer.end()
        assert received.texts[-1]["error"] == "TIMEOUT" and received.last.code == 1008


async def test_live_input_that_never_comes_is_said_then_closed() -> None:
    async with serving(ready_timeout=600) as worker, connected(worker.url, **NO_PINGS) as viewer:
        await viewer.say(prompt="a", webcam_mode=True, events=True, **SMALL)
        await viewer.event("started")
        await at_rest()
        time_passes(700)
        received = await viewer.end()
        assert (
            received.texts[0]["error"] == "TIMEOUT" and "no picture" in received.texts[0]["reason"]
        )
        await places_free(worker)


async def test_a_viewer_that_stops_reading_is_dropped_and_its_place_is_freed() -> None:
    async with (
        serving(max_sessions=1, stall_timeout=1.5) as worker,
        connected(worker.url) as viewer,
        connected(worker.url + "?events=1") as other,
    ):
        await viewer.say(prompt="a", num_blocks=10**9, width=832, height=480)
        await viewer.frame()
        viewer.socket.transport.pause_reading()
        await other.say(prompt="b", num_blocks=1, **SMALL)
        assert len((await other.stream()).frames) == 6
        assert worker.inside.metrics.errors.labels("TIMEOUT")._value.get() == 1
        viewer.socket.transport.abort()


async def test_memory_stays_flat_while_a_viewer_does_not_read() -> None:
    backend = ScriptedBackend(frames=12)
    async with serving(backend, max_sessions=2) as worker, connected(worker.url) as viewer:
        viewer.socket.transport.pause_reading()
        await viewer.say(prompt="a", num_blocks=10**9, width=832, height=480)
        await streamed(worker.url, prompt="b", num_blocks=150)
        tracemalloc.start()
        await streamed(worker.url, prompt="b", num_blocks=20)
        before = tracemalloc.get_traced_memory()[0]
        await streamed(worker.url, prompt="b", num_blocks=150)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert backend.sessions[0].block < 150, "as much as the kernel buffers, then no more"
        assert grown < 500_000
        viewer.socket.transport.abort()


async def test_memory_stays_flat_over_a_long_stream() -> None:
    backend = ScriptedBackend(frames=2)
    async with serving(backend) as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=10**9, width=64, height=64)
        await viewer.frame(200)
        tracemalloc.start()
        await viewer.frame(200)
        before = tracemalloc.get_traced_memory()[0]
        await viewer.frame(1000)
        grown = tracemalloc.get_traced_memory()[0] - before
        tracemalloc.stop()
        assert grown < 1_500_000, "what the viewer itself keeps are 1000 small frames"
        assert worker.inside.metrics.frames._value.get() >= 1400


async def test_viewers_that_vanish_at_any_point_leave_every_place_free() -> None:
    async def vanish(worker: Running, frames: int) -> None:
        async with opened(worker.url) as viewer:
            if frames >= 0:
                await viewer.next()
                await viewer.say(**ENDLESS)
            if frames > 0:
                await viewer.frame(frames)
            viewer.socket.transport.abort()

    async with serving(max_sessions=2, queue_timeout=PATIENCE) as worker:
        await asyncio.gather(*(vanish(worker, frames) for frames in (-1, 0, 1, 5, 6, 7, 30)))
        await places_free(worker)
        assert len(await streamed(worker.url, prompt="a", num_blocks=1)) == 6


async def test_a_clip_is_read_on_only_as_it_is_used() -> None:
    """Backpressure reaches the sender: the worker does not pile pictures up."""
    backend, gate = ScriptedBackend(frames=2, live=2), Gate()
    backend.lane[1] = gate
    data = colour((0, 255, 0)) + bytes(200_000)
    async with serving(backend) as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a", input="all", webcam_mode=True, num_blocks=10**6, **SMALL)
        sent = 0

        async def send() -> None:
            nonlocal sent
            while True:
                await viewer.say(image=data)
                sent += 1

        sending = asyncio.create_task(send())
        await asyncio.to_thread(gate.entered.wait)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(asyncio.shield(sending), 0.3)
        stuck_at = sent
        assert worker.inside.metrics.pictures._value.get() < 30
        gate.open()
        await viewer.frame(40)
        assert sent > stuck_at
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        viewer.socket.transport.abort()


async def test_a_backend_that_fails_takes_down_its_session_alone() -> None:
    backend = ScriptedBackend()

    def broken() -> None:
        raise ZeroDivisionError

    async with (
        serving(backend) as worker,
        connected(worker.url) as viewer,
        connected(worker.url) as other,
    ):
        await other.say(prompt="b", num_blocks=10**9, fps=500, width=64, height=64)
        await other.frame(20)
        backend.lane[1] = broken
        await viewer.say(prompt="a", num_blocks=5, width=64, height=64)
        received = await viewer.end()
        assert received.texts[-1]["error"] == "INTERNAL_ERROR" and received.last.code == 1011
        await other.frame(20)


async def test_a_backend_that_hangs_makes_the_worker_not_ready_and_says_so_to_all() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with serving(backend, block_timeout=1.5) as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=5)
        received = await viewer.end()
        assert received.texts[-1]["error"] == "INTERNAL_ERROR"
        assert isinstance(received.last, Closed) and received.last.code == 1011
        assert not worker.inside.ready
        async with connected(worker.url) as late:
            await late.say(prompt="b")
            assert (await late.end()).texts[-1]["error"] == "INTERNAL_ERROR"
        gate.open()
