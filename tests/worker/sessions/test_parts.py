"""A block that is finished in parts: each leaves as soon as it is there, and counts as one block."""

import msgpack
from support.engines.scripted_backend import Gate, ScriptedBackend, entered
from support.viewers.memory_viewer import (
    blocks_of,
    errors,
    frames_in,
    frames_up_to,
    is_event,
    picture,
    ready,
    running_worker,
)


async def test_the_first_frames_of_a_block_leave_before_its_last_are_decoded() -> None:
    backend, gate = ScriptedBackend(parts=3), Gate()
    backend.part[0, 2] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker, events=True)
        viewer.say(prompt="a", num_blocks=2)
        assert len(frames_in(await frames_up_to(viewer, 4))) == 4
        await entered(gate)
        gate.open()
        rest = await viewer.stream()
    assert blocks_of(frames_in(rest)) == [0, 0, 1, 1, 1, 1, 1, 1]
    done = [text for text in rest if is_event("block")(text)]
    assert [(text["block"], text["index"], text["frames"]) for text in done] == [
        (0, 0, 6),
        (1, 6, 6),
    ]


async def test_frames_of_all_parts_name_the_picture_that_they_were_made_from() -> None:
    backend = ScriptedBackend(live=3, parts=3)
    async with running_worker(backend) as worker:
        viewer = await ready(worker, envelope=True)
        viewer.say(prompt="a", num_blocks=2, webcam_mode=True, input="all")
        for red in range(6):
            viewer.say(image=picture(red), request_id=f"id {red}")
        frames = [msgpack.unpackb(frame) for frame in frames_in(await viewer.stream())]
    assert [frame["index"] for frame in frames] == list(range(12))
    assert [frame["request_id"] for frame in frames] == [f"id {at // 2}" for at in range(12)]


async def test_a_reader_who_stops_is_given_no_more_blocks_than_one_of_whole_blocks() -> None:
    """Two wait unsent and one is in the making, however many parts they have come in."""
    backend = ScriptedBackend(parts=3)
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.reads.clear()
        last = Gate()
        backend.part[2, 2] = last
        viewer.say(prompt="a", num_blocks=6)
        await entered(last)
        last.open()
        await worker.lane.run(lambda: None)
        assert [event for event in backend.events if event[0] == "lane"][-1] == ("lane", 2)
        viewer.reads.set()
        assert len(frames_in(await viewer.stream())) == 36


async def test_a_part_that_fails_ends_the_stream_after_what_was_made() -> None:
    backend = ScriptedBackend(parts=3)

    def broken() -> None:
        raise ZeroDivisionError("details for the log")

    backend.part[1, 1] = broken
    async with running_worker(backend) as worker:
        viewer = await ready(worker)
        viewer.say(prompt="a", num_blocks=9)
        messages = await viewer.end()
    assert len(frames_in(messages)) == 8
    assert [code for code, _ in errors(messages)] == ["INTERNAL_ERROR"]


async def test_a_reset_between_two_parts_sends_nothing_more_of_the_block() -> None:
    backend, gate = ScriptedBackend(parts=2), Gate()
    backend.part[1, 1] = gate
    async with running_worker(backend) as worker:
        viewer = await ready(worker, envelope=True, events=True)
        viewer.say(prompt="a", num_blocks=2)
        await entered(gate)
        viewer.say(action="reset", num_blocks=1)
        await viewer.taken_in()
        gate.open()
        messages = await viewer.stream()
    frames = [msgpack.unpackb(frame) for frame in frames_in(messages)]
    again = [at for at, frame in enumerate(frames) if frame["index"] == 0][-1]
    assert [frame["index"] for frame in frames[again:]] == [0, 1, 2, 3]
    assert 1 not in {frame["block"] for frame in frames[again:]}
