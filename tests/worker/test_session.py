"""A session over an in-memory socket and a scripted backend: what is said, in which order, and
what is left behind."""

import asyncio
from typing import Any

import msgpack
import pytest
from memory_viewer import (
    MemoryViewer,
    blocks_of,
    frames_in,
    hosting,
    is_completed,
    is_event,
    picture,
    texts_in,
)
from scripted_backend import Gate, ScriptedBackend

from framewire.protocol import MAX_SEED
from framewire.worker.backends.base import CapacityError, Change, SettingsError
from framewire.worker.host import Host

READY = {"status": "ready"}


async def ready(host: Host, **options: Any) -> MemoryViewer:
    viewer = MemoryViewer(host, **options)
    assert await viewer.next() == READY
    return viewer


async def entered(gate: Gate) -> None:
    async with asyncio.timeout(10):
        await asyncio.to_thread(gate.entered.wait)


def errors(messages: list[Any]) -> list[tuple[Any, str]]:
    return [(text["error"], text["reason"]) for text in texts_in(messages) if "error" in text]


async def test_ready_then_frames_then_completed_and_nothing_else_without_events() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=3, seed=1)
        messages = await viewer.stream()
        assert blocks_of(messages) == [0, 0, 1, 1, 2, 2]
        assert len(texts_in(messages)) == 1
        await viewer.gone()
    assert backend.sessions[0].closed and viewer.closed is None


async def test_every_call_but_the_finishing_runs_on_the_one_lane() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=3)
        viewer.say(prompt="b")
        await viewer.stream()
    assert backend.sessions[0].threads == {"framewire-lane"}


async def test_the_next_block_is_made_while_the_last_one_is_finished() -> None:
    backend, gate = ScriptedBackend(), Gate()
    second = Gate()
    backend.finish[0], backend.lane[1] = gate, second
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=2)
        await entered(gate)
        await entered(second)
        second.open()
        gate.open()
        assert blocks_of(await viewer.stream()) == [0, 0, 1, 1]


async def test_blocks_are_finished_one_at_a_time_in_order_though_threads_are_free() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.finish[0] = gate
    async with hosting(backend, codec_threads=4) as host:
        viewer = await ready(host, events=True)
        viewer.say(prompt="a", num_blocks=5)
        await entered(gate)
        await host.lane.run(lambda: None)
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
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=4)
        await entered(gate)
        viewer.hang_up()
        await asyncio.sleep(0)
        await host.lane.run(lambda: None)
        assert not backend.sessions[0].closed
        gate.open()
        await asyncio.wait_for(viewer.task, 10)
        assert backend.sessions[0].closed


@pytest.mark.parametrize("phase", ["lane", "finish"])
async def test_a_backend_that_raises_in_mid_stream_ends_it_as_an_error_after_what_was_made(
    phase: str, caplog: pytest.LogCaptureFixture
) -> None:
    backend = ScriptedBackend()

    def broken() -> None:
        raise ZeroDivisionError("details for the log")

    (backend.lane if phase == "lane" else backend.finish)[2] = broken
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=9)
        messages = await viewer.end()
        assert blocks_of(messages) == [0, 0, 1, 1]
        assert [code for code, _ in errors(messages)] == ["INTERNAL_ERROR"]
        assert "details" not in str(errors(messages))
        assert not any(is_completed(message) for message in messages)
        assert viewer.closed is not None and viewer.closed[0] == 1011
        assert host.admission.taken == 0 and host.ready
        other = await ready(host)
        other.say(prompt="a", num_blocks=2)
        assert len(frames_in(await other.stream())) == 4
    assert backend.sessions[0].closed
    assert "details for the log" in caplog.text


async def test_frames_of_the_wrong_shape_are_an_error_that_names_both_shapes(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend = ScriptedBackend()
    backend.wrong_shape = 1
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=3)
        messages = await viewer.end()
    assert blocks_of(messages) == [0, 0]
    assert errors(messages)[0][0] == "INTERNAL_ERROR"
    assert "(2, 72, 64, 3); expected uint8 [T, 64, 64, 3]" in caplog.text


async def test_a_backend_that_hangs_is_an_error_for_all_and_the_worker_is_not_ready() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with hosting(backend, block_timeout=0.2) as host:
        one, two = await ready(host), await ready(host)
        one.say(prompt="a", num_blocks=9)
        await entered(gate)
        two.say(prompt="b")
        for viewer in (one, two):
            messages = await viewer.end()
            assert errors(messages) == [("INTERNAL_ERROR", "the backend hangs")]
            assert viewer.closed is not None and viewer.closed[0] == 1011
        assert not host.ready and host.admission.taken == 0
        gate.open()


async def test_settings_that_the_backend_refuses_are_bad_params_and_others_may_be_tried() -> None:
    backend = ScriptedBackend()

    def refuse() -> None:
        raise SettingsError("width", "too wide for this model")

    backend.on_open = refuse
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", width=128)
        answer = await viewer.next()
        assert answer["type"] == "x-fal-error"
        assert answer["error"][0]["loc"] == ["width"]
        assert answer["reason"] == "width: too wide for this model"
        assert host.admission.taken == 0
        backend.on_open = None
        viewer.say(prompt="a")
        assert len(frames_in(await viewer.stream())) == 4


async def test_refused_params_leave_nothing_behind_for_the_next_ones() -> None:
    """Absent keys keep the values of params that were streamed, not of those that were refused."""
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host)
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
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a")
        assert errors(await viewer.end()) == [("AT_CAPACITY", "7.7 GB more would be needed")]
        assert viewer.closed is not None and viewer.closed[0] == 1013


async def test_all_keys_of_a_map_reach_the_backend_together_before_the_next_block() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with hosting(backend) as host:
        viewer = await ready(host, events=True)
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
    }  # fmt: skip
    assert backend.events.count(("lane", 4)) == 1 and ("lane", 5) not in backend.events


async def test_interp_steps_come_from_the_map_then_the_params_then_the_preset() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        for given, said, expected in ((None, 7, 7), (9, None, 9), (9, 3, 3), (None, None, 4)):
            viewer = await ready(host)
            viewer.say(prompt="a", num_blocks=3, interp_steps=given)
            viewer.say(prompt="b", at_block=1, interp_steps=said)
            await viewer.stream()
            ((block, change),) = backend.sessions[-1].changes
            assert (block, change.interp_steps) == (1, expected)
            await viewer.gone()


async def test_a_viewer_that_does_not_read_stops_the_making_and_loses_no_frame() -> None:
    backend = ScriptedBackend()
    async with hosting(backend, max_sessions=2) as host:
        slow = await ready(host)
        slow.reads.clear()
        slow.say(prompt="a", num_blocks=10)
        other = await ready(host)
        other.say(prompt="b", num_blocks=30)
        assert len(frames_in(await other.stream())) == 60, "the others are not held up"
        assert backend.sessions[0].block == 3
        slow.reads.set()
        assert blocks_of(await slow.stream()) == [block for block in range(10) for _ in range(2)]


async def test_a_viewer_that_stalls_is_dropped_and_its_place_freed() -> None:
    backend = ScriptedBackend()
    async with hosting(backend, max_sessions=1, stall_timeout=0.05) as host:
        viewer = await ready(host)
        viewer.reads.clear()
        viewer.say(prompt="a", num_blocks=10)
        await asyncio.wait_for(viewer.task, 10)
        assert viewer.aborted and viewer.closed is None
        assert host.admission.taken == 0 and backend.sessions[0].closed


async def test_a_viewer_that_leaves_in_mid_block_frees_everything_without_an_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=10)
        await entered(gate)
        viewer.hang_up()
        gate.open()
        await asyncio.wait_for(viewer.task, 10)
        assert backend.sessions[0].closed and host.admission.taken == 0
    assert not [record for record in caplog.records if record.levelname == "ERROR"]


async def test_a_viewer_that_leaves_while_its_stream_opens_leaves_no_session_open() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.on_open = gate
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a")
        await entered(gate)
        viewer.hang_up()
        gate.open()
        await asyncio.wait_for(viewer.task, 10)
        assert [session.closed for session in backend.sessions] == [True]


async def test_no_params_in_time_ends_the_session_in_words() -> None:
    async with hosting(ScriptedBackend(), ready_timeout=0.03) as host:
        viewer = await ready(host)
        assert errors(await viewer.end()) == [("TIMEOUT", "no params within 0.03 s")]
        assert viewer.closed is not None and viewer.closed[0] == 1008


async def test_bad_params_do_not_put_off_the_time_limit() -> None:
    async with hosting(ScriptedBackend(), ready_timeout=0.05) as host:
        viewer = await ready(host)
        viewer.say(prompt="  ")
        assert [code for code, _ in errors(await viewer.end())][1:] == ["TIMEOUT"]


async def test_a_completed_session_is_closed_when_nothing_more_comes() -> None:
    async with hosting(ScriptedBackend(), idle_timeout=0.03) as host:
        viewer = await ready(host)
        viewer.say(prompt="a")
        await viewer.stream()
        assert [code for code, _ in errors(await viewer.end())] == ["TIMEOUT"]


async def test_a_session_lasts_so_long_and_then_its_viewer_is_told() -> None:
    async with hosting(ScriptedBackend(), session_timeout=0.2) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=10**9)
        ((code, reason),) = errors(await viewer.end())
        assert code == "TIMEOUT" and "0.2 s" in reason


async def test_new_params_on_the_same_socket_keep_what_they_leave_out() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=1, width=128, height=72, seed=5)
        await viewer.stream()
        viewer.say(prompt="b")
        await viewer.stream()
        viewer.say(prompt="c", seed=6, num_blocks=2)
        assert len(frames_in(await viewer.stream())) == 4
    found = [
        (s.settings.prompt, s.settings.width, s.settings.height, s.settings.seed)
        for s in backend.sessions
    ]
    assert found == [("a", 128, 72, 5), ("b", 128, 72, 5), ("c", 128, 72, 6)]
    assert all(session.closed for session in backend.sessions)


async def test_a_drawn_seed_is_reported_and_stays_in_force() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host, events=True)
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


async def test_what_comes_after_the_last_frame_and_starts_nothing_is_dropped() -> None:
    async with hosting(ScriptedBackend()) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=1)
        await viewer.stream()
        viewer.say(image=picture(), prompt="a", num_blocks=1000, strength=0.5)
        viewer.say(num_blocks=9)
        viewer.say(action="end")
        viewer.say(prompt="b")
        messages = await viewer.stream()
        assert len(messages) == 3, "one block and completed"
        assert host.metrics.pictures_dropped._value.get() == 1


async def test_a_reset_after_completed_starts_over_even_with_a_picture_in_the_map() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host)
        for extra in ({}, {"image": picture()}, {"seed": 9}):
            viewer.say(prompt="a", num_blocks=1, seed=3)
            await viewer.stream()
            viewer.say(action="reset", **extra)
            assert len(frames_in(await viewer.stream())) == 2
        assert backend.sessions[-1].settings.seed == 9


async def test_a_reset_drops_the_stale_frames_and_starts_with_the_latest_values() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host, events=True)
        viewer.reads.clear()
        viewer.say(prompt="a", num_blocks=9, seed=1)
        while backend.events.count(("lane", 2)) == 0:
            await host.lane.run(lambda: None)
        viewer.say(prompt="b", action="reset", seed=2)
        while len(backend.sessions) < 2:
            await host.lane.run(lambda: None)
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
    async with hosting(backend) as host:
        viewer = await ready(host, events=True)
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


@pytest.mark.parametrize("turns", range(8))
async def test_a_reset_in_the_moment_of_the_last_frame_is_never_lost(turns: int) -> None:
    """Whether it is read just before or just after `completed`, the stream starts over."""
    backend = ScriptedBackend(frames=1)
    async with hosting(backend) as host:
        viewer = await ready(host)
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
    async with hosting(backend) as host:
        for wanted, made in ((5, 5), (1, 2), (2, 2)):
            viewer = await ready(host, events=True)
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
    async with hosting(backend) as host:
        viewer = await ready(host, events=True)
        viewer.say(prompt="a", num_blocks=1000)
        await entered(gate)
        viewer.say(action="end")
        viewer.say(num_blocks="nonsense")
        before = await viewer.until(is_event("warning"))
        gate.open()
        assert blocks_of(before + await viewer.stream()) == [0, 0, 1, 1]


async def test_a_clip_is_used_whole_then_padded_then_completed() -> None:
    backend = ScriptedBackend(live=4)
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=1000, input="all", webcam_mode=True)
        for red in range(10):
            viewer.say(image=picture(red))
        viewer.say(action="end")
        assert len(frames_in(await viewer.stream())) == 6
    assert backend.sessions[0].pictures == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]


async def test_a_clip_that_ends_before_its_stream_has_begun_is_used_all_the_same() -> None:
    backend, gate = ScriptedBackend(live=4), Gate()
    backend.on_open = gate
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=1000, input="all")
        await entered(gate)
        for red in range(4):
            viewer.say(image=picture(red))
        viewer.say(action="end")
        await viewer.taken_in()
        gate.open()
        assert len(frames_in(await viewer.stream())) == 2
    assert backend.sessions[0].pictures == [[0, 1, 2, 3]]


async def test_the_first_picture_switches_a_stream_from_text_to_live_input() -> None:
    backend, gate = ScriptedBackend(live=2), Gate()
    backend.lane[1] = gate
    async with hosting(backend) as host:
        viewer = await ready(host, envelope=True)
        viewer.say(prompt="a", num_blocks=4)
        await entered(gate)
        for red in (7, 8, 9, 10):
            viewer.say(image=picture(red), request_id=f"id {red}")
        await viewer.taken_in()
        gate.open()
        frames = [
            msgpack.unpackb(frame) for frame in frames_in(await asyncio.wait_for(_n(viewer, 6), 10))
        ]
        assert [frame["request_id"] for frame in frames] == [None] * 4 + ["id 9", "id 10"]
        assert [frame["index"] for frame in frames] == list(range(6))
        assert [frame["block"] for frame in frames] == [0, 0, 1, 1, 2, 2]
        await viewer.gone()
    assert backend.sessions[0].pictures == [[], [], [9, 10]]


async def _n(viewer: MemoryViewer, count: int) -> list[Any]:
    messages: list[Any] = []
    while len(frames_in(messages)) < count:
        messages.append(await viewer.next())
    return messages


async def test_a_session_that_waits_for_pictures_holds_nobody_up() -> None:
    backend = ScriptedBackend()
    async with hosting(backend, max_sessions=2) as host:
        waiting = await ready(host, events=True)
        waiting.say(prompt="a", webcam_mode=True)
        await waiting.until(is_event("started"))
        other = await ready(host)
        other.say(prompt="b", num_blocks=20)
        assert len(frames_in(await other.stream())) == 40
        waiting.say(image=picture(1))
        waiting.say(image=picture(2))
        assert is_event("block")((await waiting.until(is_event("block")))[-1])


async def test_a_shorter_length_ends_a_live_stream_that_waits_for_pictures() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host, events=True)
        viewer.say(prompt="a", webcam_mode=True, num_blocks=50)
        for red in (1, 2):
            viewer.say(image=picture(red))
        await viewer.until(is_event("block"))
        viewer.say(num_blocks=1)
        await viewer.stream()


async def test_a_picture_that_is_none_is_counted_and_the_stream_goes_on() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host, events=True)
        viewer.say(prompt="a", webcam_mode=True, num_blocks=1)
        viewer.say(image=b"no picture")
        (warning,) = [m for m in await viewer.until(is_event("warning")) if is_event("warning")(m)]
        assert warning["reason"].startswith("image: ") and "error" not in warning
        viewer.say(image=picture(5))
        viewer.say(image=picture(6))
        await viewer.stream()
        assert host.metrics.pictures_dropped._value.get() == 1
    assert backend.sessions[0].pictures == [[5, 6]]


async def test_pictures_with_a_sound_header_and_no_body_are_passed_over() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[0] = gate
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", webcam_mode=True, num_blocks=2)
        for data in (picture(5), picture(6), picture(7)[:60], picture(8)):
            viewer.say(image=data)
        await entered(gate)
        gate.open()
        for data in (picture(9), picture(10)):
            viewer.say(image=data)
        await viewer.stream()
    used = backend.sessions[0].pictures
    assert all(len(block) == 2 and all(block) for block in used), used


async def test_live_input_of_broken_pictures_alone_does_not_spin() -> None:
    """After its patience the newest picture is repeated: one that cannot be read is not."""
    backend = ScriptedBackend()
    async with hosting(backend, input_patience=0.02, ready_timeout=0.3) as host:
        calls = 0
        on_codec = host.on_codec

        async def counted(call: Any) -> Any:
            nonlocal calls
            calls += 1
            return await on_codec(call)

        host.on_codec = counted  # type: ignore[method-assign]
        viewer = await ready(host)
        viewer.say(prompt="a", webcam_mode=True)
        viewer.say(image=picture(7)[:60])
        assert [code for code, _ in errors(await viewer.end())] == ["TIMEOUT"]
        assert calls < 20


async def test_a_broken_picture_after_good_ones_repeats_the_last_good_one() -> None:
    backend = ScriptedBackend()
    async with hosting(backend, input_patience=0.02) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", webcam_mode=True, num_blocks=3)
        for data in (picture(5), picture(6)):
            viewer.say(image=data)
        await _n(viewer, 2)
        viewer.say(image=picture(7)[:60])
        await viewer.stream()
    assert backend.sessions[0].pictures == [[5, 6], [6, 6], [6, 6]]


async def test_bad_params_get_pydantics_errors_and_the_socket_stays_open() -> None:
    async with hosting(ScriptedBackend()) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", width=63, strength=1.5)
        answer = await viewer.next()
        assert answer["type"] == "x-fal-error"
        assert [item["loc"] for item in answer["error"]] == [["width"], ["strength"]]
        assert {"type", "loc", "msg"} <= set(answer["error"][0])
        assert answer["reason"].startswith("width: ")
        viewer.say(prompt="a")
        assert len(frames_in(await viewer.stream())) == 4


async def test_twenty_bad_ones_in_a_row_close_and_nineteen_do_not() -> None:
    async with hosting(ScriptedBackend()) as host:
        viewer = await ready(host)
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
    async with hosting(ScriptedBackend()) as host:
        viewer = await ready(host)
        for _ in range(20):
            viewer.say(prompt="a", start_frame=b"none")
            assert (await viewer.next())["error"][0]["loc"] == ["start_frame"]
        await viewer.end()
        assert viewer.closed is not None and viewer.closed[0] == 1008


async def test_a_bad_map_in_mid_stream_is_silent_without_events_and_counted() -> None:
    async with hosting(ScriptedBackend()) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=2)
        for bad in (b"\xc1", b"\x93\x01\x02\x03", "text"):
            viewer.say_raw(bad)
        viewer.say(num_blocks=0)
        assert len(await viewer.stream()) == 5
        counted = host.metrics.errors.labels("WARNING")._value.get()
        assert counted <= 4


async def test_a_full_worker_says_so_after_the_waiting_time() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[0] = gate
    async with hosting(backend, max_sessions=1, queue_timeout=0.03) as host:
        holder = await ready(host)
        holder.say(prompt="a")
        await entered(gate)
        viewer = await ready(host)
        viewer.say(prompt="b")
        ((code, reason),) = errors(await viewer.end())
        assert code == "AT_CAPACITY" and "0.03 s" in reason
        assert viewer.closed is not None and viewer.closed[0] == 1013
        gate.open()
        assert len(frames_in(await holder.stream())) == 4


async def test_with_events_a_session_waits_in_line_and_is_told_its_position() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[0] = gate
    async with hosting(backend, max_sessions=1, queue_timeout=0.01) as host:
        holder = await ready(host)
        holder.say(prompt="a", num_blocks=1)
        await entered(gate)
        one, two = await ready(host, events=True), await ready(host)
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
    async with hosting(backend, max_sessions=1) as host:
        holder = await ready(host)
        holder.say(prompt="a")
        await entered(gate)
        one, two = await ready(host, events=True), await ready(host, events=True)
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
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=1000)
        await entered(gate)
        drain = asyncio.create_task(host.drain())
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
    async with hosting(backend, max_sessions=1) as host:
        fresh, idle = await ready(host), await ready(host)
        idle.say(prompt="a", num_blocks=1)
        await idle.stream()
        live = await ready(host, events=True)
        live.say(prompt="b", webcam_mode=True)
        await live.until(is_event("started"))
        in_line = await ready(host, events=True)
        in_line.say(prompt="c")
        assert (await in_line.next())["type"] == "queued"
        await host.drain()
        for viewer in (fresh, idle, live, in_line):
            ((code, reason),) = errors(await viewer.end())
            assert code == "AT_CAPACITY" and "shutting down" in reason
            assert viewer.closed is not None and viewer.closed[0] == 1012


async def test_a_stream_whose_last_block_is_made_is_completed_also_in_a_drain() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[1] = gate
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="a", num_blocks=2)
        await entered(gate)
        drain = asyncio.create_task(host.drain())
        await asyncio.sleep(0)
        gate.open()
        messages = await viewer.end()
        await drain
    assert any(is_completed(message) for message in messages)
    assert viewer.closed is not None and viewer.closed[0] == 1012


async def test_frames_are_paced_and_a_reset_does_not_wait_for_the_stale_ones() -> None:
    backend = ScriptedBackend(frames=4)
    async with hosting(backend) as host:
        viewer = await ready(host)
        loop = asyncio.get_running_loop()
        began = loop.time()
        viewer.say(prompt="a", num_blocks=3, fps=100)
        assert len(frames_in(await viewer.stream())) == 12
        assert loop.time() - began >= 11 / 100


async def test_a_prompt_a_message_cannot_starve_the_frames() -> None:
    backend = ScriptedBackend()
    async with hosting(backend) as host:
        viewer = await ready(host)
        viewer.say(prompt="start", num_blocks=50)
        for number in range(10_000):
            viewer.say(prompt=f"number {number}", interp_steps=1)
        assert len(frames_in(await viewer.stream())) == 100
        asked = [change.prompt for _, change in backend.sessions[0].changes]
        assert asked[-1] == "number 9999" and len(asked) < 60
