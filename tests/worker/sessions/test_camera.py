"""A start frame and no word of a camera: the stream waits a moment for one after its first block."""

from types import SimpleNamespace
from typing import Any

import pytest
from support.engines.scripted_backend import Gate, ScriptedBackend
from support.viewers.memory_viewer import (
    MemoryViewer,
    blocks_of,
    frames_in,
    frames_up_to,
    is_completed,
    is_event,
    picture,
    ready,
    running_worker,
    texts_in,
)

from framewire.worker.backends.testcard import TestcardBackend
from framewire.worker.runtime.worker import Worker
from framewire.worker.sessions import camera
from framewire.worker.sessions.camera import CameraWait

LONG = 3600.0
"""A wait that no test sits through."""


async def others_turn(worker: Worker) -> None:
    """Another viewer gets all the blocks that it asks for meanwhile."""
    other = await ready(worker)
    other.say(prompt="other", num_blocks=20)
    assert len(frames_in(await other.stream())) == 40
    await other.gone()


async def first_block(viewer: MemoryViewer, **params: Any) -> None:
    viewer.say(**({"prompt": "a", "num_blocks": 4, "start_frame": picture(9)} | params))
    await frames_up_to(viewer, 2)


async def test_a_short_stream_is_not_over_before_the_first_picture() -> None:
    backend = ScriptedBackend(live=2)
    waits = {"camera_wait": LONG, "input_patience": LONG}
    async with running_worker(backend, max_sessions=2, **waits) as worker:
        viewer = await ready(worker)
        await first_block(viewer)
        await others_turn(worker)
        assert backend.sessions[0].block == 1
        for red in range(1, 7):
            viewer.say(image=picture(red))
            if red % 2 == 0:
                await frames_up_to(viewer, 2)
        assert is_completed(await viewer.next())
        await viewer.gone()
    assert backend.sessions[0].pictures == [[], [1, 2], [3, 4], [5, 6]]


async def test_without_a_camera_the_frames_are_those_of_a_stream_from_text() -> None:
    said = {"prompt": "a", "seed": 7, "num_blocks": 3, "start_frame": picture(9)}
    async with running_worker(TestcardBackend(), camera_wait=0.02) as worker:
        streams = []
        for more in ({}, {"webcam_mode": False}):
            viewer = await ready(worker)
            viewer.say(**(said | {"width": 64, "height": 64} | more))
            streams.append(frames_in(await viewer.stream()))
            await viewer.gone()
    assert len(streams[0]) == 30 and streams[0] == streams[1]


@pytest.mark.parametrize(
    "params",
    [
        {"webcam_mode": False},
        {"input": "newest"},
        {"start_frame": None},
        {"num_blocks": 1},
    ],
    ids=["no camera", "a kind of input", "no start frame", "one block"],
)
async def test_nothing_is_waited_for_where_the_params_leave_nothing_open(
    params: dict[str, object],
) -> None:
    async with running_worker(ScriptedBackend(), camera_wait=LONG) as worker:
        viewer = await ready(worker)
        viewer.say(**({"prompt": "a", "num_blocks": 3, "start_frame": picture(9)} | params))
        assert is_completed((await viewer.stream())[-1])


def test_the_wait_is_spent_once(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(camera, "time", SimpleNamespace(monotonic=lambda: now))
    wait = CameraWait(0.5)
    assert wait.left() == 0.5
    now += 0.25
    assert wait.left() == 0.25
    now += 0.25
    assert wait.left() == 0


async def test_a_reset_an_end_and_a_new_length_do_not_wait_for_a_camera() -> None:
    async with running_worker(ScriptedBackend(), camera_wait=LONG) as worker:
        viewer = await ready(worker)
        await first_block(viewer)
        viewer.say(action="reset")
        assert blocks_of(await frames_up_to(viewer, 2)) == [0, 0]
        viewer.say(action="end")
        assert is_completed(await viewer.next())
        shortened = await ready(worker)
        await first_block(shortened)
        shortened.say(num_blocks=1)
        assert is_completed(await shortened.next())


async def test_a_prompt_does_not_cut_the_wait_short() -> None:
    backend = ScriptedBackend()
    async with running_worker(backend, max_sessions=2, camera_wait=LONG) as worker:
        viewer = await ready(worker)
        await first_block(viewer)
        viewer.say(prompt="b")
        await viewer.taken_in()
        await others_turn(worker)
        assert backend.sessions[0].block == 1


async def test_a_later_stream_that_keeps_the_start_frame_waits_for_no_camera() -> None:
    async with running_worker(ScriptedBackend(), camera_wait=LONG) as worker:
        viewer = await ready(worker)
        await first_block(viewer, num_blocks=1)
        assert is_completed(await viewer.next())
        viewer.say(prompt="b", num_blocks=3)
        assert len(frames_in(await viewer.stream())) == 6
        viewer.say(action="reset")
        assert len(frames_in(await viewer.stream())) == 6


def dropped(worker: Worker) -> int:
    return int(worker.metrics.pictures_dropped._value.get())


@pytest.mark.parametrize("events", [True, False])
async def test_a_picture_after_the_last_frame_is_told_of_to_who_asked_for_events(
    events: bool,
) -> None:
    async with running_worker(ScriptedBackend()) as worker:
        viewer = await ready(worker, events=events)
        viewer.say(prompt="a", num_blocks=1)
        await viewer.stream()
        viewer.say(image=picture(1), request_id="late")
        await viewer.taken_in()
        viewer.say(prompt="b", num_blocks=1)
        texts = texts_in(await viewer.stream())
        told = [text for text in texts if text.get("type") == "warning"]
        assert [(text["request_id"], text["reason"]) for text in told] == events * [
            ("late", "image: the stream is complete: start another first")
        ]
        assert dropped(worker) == 1


async def test_a_picture_after_the_end_of_the_input_is_told_of() -> None:
    backend, gate = ScriptedBackend(live=2), Gate()
    backend.lane[0] = gate  # what comes after the last frame is told of in other words
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", num_blocks=9, webcam_mode=True)
        await viewer.until(is_event("started"))
        viewer.say(image=picture(1), action="end")
        viewer.say(image=picture(2), request_id="late")
        await viewer.taken_in()
        gate.open()
        told = [text for text in texts_in(await viewer.stream()) if text.get("type") == "warning"]
        assert [text["request_id"] for text in told] == ["late"]
        assert told[0]["reason"].startswith("image: it came after the end of the input")
        assert dropped(worker) == 1


async def test_pictures_that_no_block_is_left_for_are_told_of_before_completed() -> None:
    async with running_worker(ScriptedBackend(live=2)) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", num_blocks=1, input="all", webcam_mode=True)
        viewer.reads.clear()
        for red in range(4):
            viewer.say(image=picture(red))
        await viewer.taken_in()
        viewer.reads.set()
        (*_, warned, last) = texts_in(await viewer.stream())
        assert is_completed(last)
        assert warned["reason"] == "image: pictures that no block is left for: 2"
        assert dropped(worker) == 2
