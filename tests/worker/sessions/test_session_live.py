"""Live input and clips in a session in memory: which pictures a block is made from."""

import asyncio
from typing import Any

import msgpack
import numpy as np
from support.clock import time_passes
from support.engines.scripted_backend import Gate, ScriptedBackend, entered
from support.viewers.memory_viewer import (
    PATIENCE,
    errors,
    frames_in,
    frames_up_to,
    is_event,
    picture,
    ready,
    running_worker,
)


async def test_a_clip_is_used_whole_then_padded_then_completed() -> None:
    backend = ScriptedBackend(live=4)
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=1000, input="all", webcam_mode=True)
        for red in range(10):
            viewer.say(image=picture(red))
        viewer.say(action="end")
        assert len(frames_in(await viewer.stream())) == 6
    assert backend.sessions[0].pictures == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]


async def test_a_clip_that_ends_before_its_stream_has_begun_is_used_all_the_same() -> None:
    backend, gate = ScriptedBackend(live=4), Gate()
    backend.on_open = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
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
    async with running_worker(backend) as worker:
        viewer = await ready(worker, envelope=True)
        viewer.say(prompt="a", num_blocks=4)
        await entered(gate)
        for red in (7, 8, 9, 10):
            viewer.say(image=picture(red), request_id=f"id {red}")
        await viewer.taken_in()
        gate.open()
        frames = [
            msgpack.unpackb(frame)
            for frame in frames_in(await asyncio.wait_for(frames_up_to(viewer, 6), 60))
        ]
        assert [frame["request_id"] for frame in frames] == [None] * 4 + ["id 9", "id 10"]
        assert [frame["index"] for frame in frames] == list(range(6))
        assert [frame["block"] for frame in frames] == [0, 0, 1, 1, 2, 2]
        await viewer.gone()
    assert backend.sessions[0].pictures == [[], [], [9, 10]]


async def test_a_session_that_waits_for_pictures_holds_nobody_up() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend, max_sessions=2) as worker:
        waiting = await ready(worker, events=True)
        waiting.say(prompt="a", webcam_mode=True)
        await waiting.until(is_event("started"))
        other = await ready(worker)
        other.say(prompt="b", num_blocks=20)
        assert len(frames_in(await other.stream())) == 40
        waiting.say(image=picture(1))
        waiting.say(image=picture(2))
        assert is_event("block")((await waiting.until(is_event("block")))[-1])


async def test_a_shorter_length_ends_a_live_stream_that_waits_for_pictures() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", webcam_mode=True, num_blocks=50)
        for red in (1, 2):
            viewer.say(image=picture(red))
        await viewer.until(is_event("block"))
        viewer.say(num_blocks=1)
        await viewer.stream()


async def test_a_picture_that_is_none_is_counted_and_the_stream_goes_on() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", webcam_mode=True, num_blocks=1)
        viewer.say(image=b"no picture")
        (warning,) = [m for m in await viewer.until(is_event("warning")) if is_event("warning")(m)]
        assert warning["reason"].startswith("image: ") and "error" not in warning
        viewer.say(image=picture(5))
        viewer.say(image=picture(6))
        await viewer.stream()
        assert worker.metrics.pictures_dropped._value.get() == 1
    assert backend.sessions[0].pictures == [[5, 6]]


async def test_broken_pictures_of_a_clip_are_told_of_and_the_next_ones_taken_for_them() -> None:
    """Nothing is repeated for them: each good picture is used once, and no frame is of a bad one."""
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[0] = gate  # so that all of it comes before the stream is complete
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", webcam_mode=True, input="all")
        clip = [picture(1), b"none", picture(3)[:60], picture(4), picture(5), picture(6), b"none"]
        for number, data in enumerate(clip):
            viewer.say(image=data, request_id=str(number))
        viewer.say(action="end")
        await viewer.taken_in()
        gate.open()
        messages = await viewer.stream()
        assert worker.metrics.pictures_dropped._value.get() == 3
    assert backend.sessions[0].pictures == [[1, 4], [5, 6]]
    warnings = [message for message in messages if is_event("warning")(message)]
    assert sorted(warning["request_id"] for warning in warnings) == ["1", "2", "6"]
    assert all(warning["reason"].startswith("image: ") for warning in warnings)


async def test_pictures_with_a_sound_header_and_no_body_are_passed_over() -> None:
    backend, gate = ScriptedBackend(), Gate()
    backend.lane[0] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
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
    async with running_worker(backend, input_patience=0.02, ready_timeout=0.3) as worker:
        calls = 0
        in_turn = worker.in_turn

        async def counted(caller: Any, call: Any) -> Any:
            nonlocal calls
            calls += 1
            return await in_turn(caller, call)

        worker.in_turn = counted  # type: ignore[method-assign]
        viewer = await ready(worker)
        viewer.say(prompt="a", webcam_mode=True)
        viewer.say(image=picture(7)[:60])
        assert [code for code, _ in errors(await viewer.end())] == ["TIMEOUT"]
        assert calls < 20


async def test_a_broken_picture_after_good_ones_repeats_the_last_good_one() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend, input_patience=600) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", webcam_mode=True, num_blocks=3)
        for data in (picture(5), picture(6)):
            viewer.say(image=data)
        await frames_up_to(viewer, 2)
        viewer.say(image=picture(7)[:60])
        await viewer.taken_in()
        time_passes(700)
        await viewer.stream()
    assert backend.sessions[0].pictures == [[5, 6], [6, 6], [6, 6]]


async def test_a_clip_longer_than_its_stream_does_not_keep_the_next_one_from_starting() -> None:
    backend, gate = ScriptedBackend(live=4), Gate()
    backend.lane[1] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=2, input="all", webcam_mode=True)
        for red in range(40):
            viewer.say(image=picture(red))
        viewer.say(prompt="b", num_blocks=1, webcam_mode=False)
        await entered(gate)
        gate.open()
        assert len(frames_in(await viewer.stream())) == 4
        assert len(frames_in(await viewer.stream())) == 2


async def test_an_end_that_is_held_for_a_block_ends_the_input_there_and_not_before() -> None:
    backend = ScriptedBackend(live=2)
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=9, input="all", webcam_mode=True)
        viewer.say(action="end", at_block=2)
        for red in range(6):
            viewer.say(image=picture(red))
        assert len(frames_in(await viewer.stream())) == 6
    assert backend.sessions[0].pictures == [[0, 1], [2, 3], [4, 5]]


async def test_pictures_that_follow_refused_params_do_not_end_the_session() -> None:
    backend = ScriptedBackend(live=2)
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", start_frame=b"no picture", webcam_mode=True)
        for red in range(10):
            viewer.say(image=picture(red))
        await viewer.until(
            is_event("x-fal-error")
        )  # a prompt before that would steer what is refused
        viewer.say(prompt="b", num_blocks=1)
        assert len(frames_in(await viewer.stream())) == 2


async def test_no_frame_waits_for_what_others_have_decoded() -> None:
    """While every thread that decodes is taken, a stream from text begins, goes on and ends."""
    async with running_worker(ScriptedBackend()) as worker:
        gates = [Gate() for _ in range(worker.config.codec_threads)]
        held = [asyncio.create_task(worker.in_turn(gate, gate)) for gate in gates]
        for gate in gates:
            await entered(gate)
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=5)
        assert len(frames_in(await viewer.stream())) == 10
        for gate in gates:
            gate.open()
        await asyncio.gather(*held)


async def test_a_live_block_s_pictures_are_one_job_each() -> None:
    """So that others get their turn in between, however large the pictures are."""
    async with running_worker(ScriptedBackend(live=3)) as worker:
        results: list[Any] = []
        in_turn = worker.in_turn

        async def counted(caller: Any, call: Any) -> Any:
            result = await in_turn(caller, call)
            results.append(result)
            return result

        worker.in_turn = counted  # type: ignore[method-assign]
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=1, webcam_mode=True, input="all")
        for red in (5, 6, 7):
            viewer.say(image=picture(red))
        await viewer.stream()
    decoded = [result for result in results if isinstance(result, np.ndarray)]
    assert [array.shape for array in decoded] == [(64, 64, 3)] * 3


async def test_pictures_that_are_large_are_all_used_however_few_may_wait() -> None:
    """A share of 125 kB holds one picture and a half; a block takes four."""
    backend = ScriptedBackend(live=4)
    async with running_worker(backend, input_megabytes=1, max_sessions=4) as worker:
        assert worker.input_room.share == 125_000
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=1000, webcam_mode=True, input="all")
        for red in range(10):
            viewer.say(image=picture(red) + bytes(80_000))
        viewer.say(action="end")
        assert len(frames_in(await viewer.stream())) == 6
    assert backend.sessions[0].pictures == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 9, 9]]


async def test_who_waits_for_a_place_is_read_no_further_than_two_pictures() -> None:
    async with running_worker(ScriptedBackend(live=1), max_sessions=1) as worker:
        async with worker.admission.place(1, lambda position: None):
            viewer = await ready(worker, events=True)
            viewer.say(prompt="a", num_blocks=1000, webcam_mode=True, input="all")
            for red in range(5):
                viewer.say(image=picture(red) + bytes(100_000))
            await viewer.until(is_event("queued"))
            async with asyncio.timeout(PATIENCE):
                while worker.input_room.held < 200_000:  # noqa: ASYNC110 (it tells nobody)
                    await asyncio.sleep(0)
            third = asyncio.create_task(viewer.taken_in())
            done, _ = await asyncio.wait({third}, timeout=0.5)
            assert not done and 200_000 < worker.input_room.held < 300_000
        await third
        viewer.say(action="end")
        assert len(frames_in(await viewer.stream())) == 10


async def test_a_start_frame_without_room_for_it_is_refused_and_another_try_may_succeed() -> None:
    async with running_worker(ScriptedBackend(), input_megabytes=1, max_sessions=2) as worker:
        large = picture(9) + bytes(400_000)
        first, second = await ready(worker), await ready(worker)
        first.say(prompt="a", start_frame=large)
        await first.stream()
        second.say(prompt="b", start_frame=large)
        answer = await second.next()
        assert answer["reason"].startswith("start_frame: the worker holds as many pictures")
        await first.gone()
        second.say(prompt="b", start_frame=large)
        await second.stream()


async def test_a_start_frame_that_later_params_keep_is_held_once() -> None:
    """Three of it would not fit."""
    async with running_worker(ScriptedBackend(), input_megabytes=1, max_sessions=1) as worker:
        large = picture(9) + bytes(300_000)
        viewer = await ready(worker)
        viewer.say(prompt="a", start_frame=large)
        await viewer.stream()
        for prompt in ("b", "c", "d"):
            viewer.say(prompt=prompt)
            await viewer.stream()
            assert worker.input_room.held == len(large)
        viewer.say(prompt="e", start_frame=b"no picture")  # refused: the other is in force again
        assert (await viewer.next())["error"][0]["loc"] == ["start_frame"]
        viewer.say(prompt="f")
        await viewer.stream()
        assert worker.input_room.held == len(large)
