"""Steering a running stream over real sockets: what changes, from which frame, and what is said."""

from typing import Any

import pytest
from support.servers.worker_server import Running, lane_held, serving
from support.viewers.raw_viewer import (
    SMALL,
    RawViewer,
    Received,
    apart,
    colour,
    connected,
    pixels,
    streamed,
)

EVENTS = "?events=1&fmt=msgpack"


async def start(viewer: RawViewer, **params: Any) -> None:
    await viewer.say(**({"prompt": "a red circle", "seed": 7} | SMALL | params))


async def start_steered(
    worker: Running, viewer: RawViewer, steer: dict[str, Any], **params: Any
) -> None:
    """Start a stream and have it take `steer` in before its first block is made."""
    async with lane_held(worker.inside):
        await start(viewer, events=True, **params)
        await viewer.say(**steer)
        await viewer.say(num_blocks=0)
        await viewer.event("warning")


def versions(received: Received) -> list[int]:
    """Per frame, the version of the prompt that it was made under."""
    return [frame["prompt_version"] for frame in received.maps]


async def test_events_tell_the_story_of_a_stream_in_order() -> None:
    async with serving() as worker, connected(worker.url + EVENTS) as viewer:
        await start(viewer, num_blocks=2)
        received = await viewer.stream()
    kinds = [
        "frame" if isinstance(message, bytes) else message.get("type", message.get("status"))
        for message in received.messages
    ]
    assert kinds == ["started", *["frame"] * 6, "block", *["frame"] * 12, "block", "completed"]
    started, (first, second) = received.of("started")[0], received.of("block")
    assert started["seed"] == 7 and (started["width"], started["height"]) == (128, 64)
    assert started["session_id"] == received.last["session_id"]
    assert [(b["block"], b["index"], b["frames"]) for b in (first, second)] == [
        (0, 0, 6), (1, 6, 12),
    ]  # fmt: skip
    assert {"paint", "lane", "jpeg"} <= set(first["ms"]) and all(first["ms"].values())
    maps = received.maps
    assert [frame["index"] for frame in maps] == list(range(18))
    assert [frame["block"] for frame in maps] == [0] * 6 + [1] * 12
    assert all(frame["image"].startswith(b"\xff\xd8") for frame in maps)
    assert set(versions(received)) == {1}


async def test_events_and_envelopes_can_be_asked_for_in_params_as_well() -> None:
    """A gateway may drop the query."""
    async with serving() as worker, connected(worker.url) as viewer:
        await start(viewer, num_blocks=1, events=True, fmt="msgpack")
        received = await viewer.stream()
        assert received.of("started") and received.maps[0]["index"] == 0
        await viewer.say(prompt="plain again", events=False, fmt="jpeg")
        again = await viewer.stream()
        assert len(again.texts) == 1 and again.frames[0].startswith(b"\xff\xd8")


async def test_a_seed_that_was_drawn_is_reported_and_gives_the_same_bytes_again() -> None:
    async with serving() as worker, connected(worker.url + "?events=1") as viewer:
        await viewer.say(prompt="a", num_blocks=2, **SMALL)
        received = await viewer.stream()
        seed = received.of("started")[0]["seed"]
        assert await streamed(worker.url, prompt="a", num_blocks=2, seed=seed) == received.frames


@pytest.mark.parametrize("at_block", [1, 3])
async def test_a_prompt_with_at_block_shows_from_exactly_that_block_on(at_block: int) -> None:
    async with serving() as worker, connected(worker.url + EVENTS) as viewer:
        steer = {"prompt": "a blue square", "at_block": at_block, "interp_steps": 1}
        await start_steered(worker, viewer, steer, num_blocks=5)
        received = await viewer.stream()
        plain = await streamed(worker.url, prompt="a red circle", seed=7, num_blocks=5)
    before = 12 * at_block - 6
    assert versions(received) == [1] * before + [2] * (54 - before)
    frames = [frame["image"] for frame in received.maps]
    assert frames[:before] == plain[:before]
    assert all(apart(a, b) > 5 for a, b in zip(frames[before:], plain[before:], strict=True))
    (steered,) = received.of("steered")
    assert (steered["block"], steered["prompt_version"]) == (at_block, 2)
    assert [block["prompt_version"] for block in received.of("block")] == [1] * at_block + [2] * (
        5 - at_block
    )


async def test_one_step_is_an_immediate_change_and_four_are_a_ramp() -> None:
    async def changed(steps: int) -> list[bytes]:
        async with connected(worker.url + EVENTS) as viewer:
            steer = {"prompt": "a blue square", "at_block": 2, "interp_steps": steps}
            await start_steered(worker, viewer, steer, num_blocks=7)
            return [frame["image"] for frame in (await viewer.stream()).maps]

    async with serving() as worker:
        target = await streamed(worker.url, prompt="a blue square", seed=7, num_blocks=7)
        at_once, ramp = await changed(1), await changed(4)
    assert at_once[18:] == target[18:], "the new prompt, and nothing of the old"
    # Frames 18, 30, 42 and 54 begin the blocks of the ramp: 1/4, 2/4, 3/4 and all of the way.
    left = [apart(ramp[index], target[index]) for index in (17, 18, 30, 42)]
    assert left == sorted(left, reverse=True) and left[-1] > 1
    assert ramp[54:] == target[54:] and ramp[53] != target[53]


async def test_a_prompt_without_steps_takes_the_presets_four_blocks() -> None:
    async with serving() as worker, connected(worker.url + EVENTS) as viewer:
        steer = {"prompt": "a blue square", "at_block": 1}
        await start_steered(worker, viewer, steer, num_blocks=6)
        frames = [frame["image"] for frame in (await viewer.stream()).maps]
        target = await streamed(worker.url, prompt="a blue square", seed=7, num_blocks=6)
    assert frames[41] != target[41] and frames[42:] == target[42:]


async def test_all_keys_of_one_map_are_applied_together_at_its_block() -> None:
    async with serving() as worker, connected(worker.url + EVENTS) as viewer:
        steer = {"prompt": "b", "num_blocks": 3, "strength": 0.2, "interp_steps": 1, "at_block": 2}
        await start_steered(worker, viewer, steer, num_blocks=9)
        received = await viewer.stream()
    assert len(received.frames) == 30
    (steered,) = received.of("steered")
    assert steered["applied"] == ["num_blocks", "prompt", "strength"] and steered["block"] == 2


async def test_the_length_can_grow_and_shrink_in_mid_stream() -> None:
    async with serving() as worker, connected(worker.url) as viewer:
        await start(viewer, num_blocks=10**6)
        await viewer.frame(10)
        await viewer.say(num_blocks=2)
        assert 18 <= 10 + len((await viewer.stream()).frames) < 10**4
        await start_steered(worker, viewer, {"num_blocks": 5, "at_block": 2}, num_blocks=3)
        assert len((await viewer.stream()).frames) == 54


async def test_end_completes_an_unbounded_stream_with_whole_blocks() -> None:
    async with serving() as worker, connected(worker.url) as viewer:
        await start(viewer, num_blocks=10**9)
        await viewer.frame(20)
        await viewer.say(action="end")
        received = await viewer.stream()
        assert (20 + len(received.frames) + 6) % 12 == 0


async def test_a_reset_flushes_stale_frames_and_the_same_seed_gives_the_same_bytes() -> None:
    async with serving() as worker, connected(worker.url + EVENTS) as viewer:
        await start(viewer, num_blocks=10**6)
        before = await viewer.frame(40)
        await viewer.say(action="reset", num_blocks=3)
        await viewer.event("started")
        after = await viewer.stream()
        expected = await streamed(worker.url, prompt="a red circle", seed=7, num_blocks=3)
    assert before.of("started")[0]["seed"] == 7
    assert [frame["image"] for frame in after.maps] == expected
    assert [frame["index"] for frame in after.maps] == list(range(30))


async def test_a_reset_with_another_seed_streams_that_seed_with_the_newest_prompt() -> None:
    async with serving() as worker, connected(worker.url + EVENTS) as viewer:
        await start(viewer, num_blocks=10**6)
        await viewer.frame()
        await viewer.say(prompt="a blue square", num_blocks=4)
        await viewer.say(action="reset", seed=8)
        await viewer.event("started")
        after = await viewer.stream()
        expected = await streamed(worker.url, prompt="a blue square", seed=8, num_blocks=4)
    assert [frame["image"] for frame in after.maps] == expected


async def test_a_reset_after_completed_starts_over() -> None:
    async with serving() as worker, connected(worker.url) as viewer:
        await start(viewer, num_blocks=2)
        first = await viewer.stream()
        await viewer.say(action="reset")
        assert (await viewer.stream()).frames == first.frames
        await viewer.say(action="reset", seed=8)
        other = (await viewer.stream()).frames
        assert len(other) == 18 and other[0] != first.frames[0]


async def test_strength_is_ignored_in_text_and_decides_the_mix_in_live_input() -> None:
    async with serving() as worker:
        assert await streamed(worker.url, prompt="a", seed=1, num_blocks=1) == await streamed(
            worker.url, prompt="a", seed=1, num_blocks=1, strength=0.2
        )
        async with connected(worker.url + EVENTS) as viewer:
            await start(viewer, prompt="black night", num_blocks=2, webcam_mode=True, strength=1.0)
            await viewer.say(strength=0.0, at_block=1)
            for _ in range(6):
                await viewer.say(image=colour((255, 255, 255)))
            first = await viewer.event("block")
            for _ in range(12):
                await viewer.say(image=colour((255, 255, 255)))
            last = await viewer.stream()
    assert max(pixels(frame["image"]).mean() for frame in first.maps) < 128, "1: the card alone"
    assert min(pixels(frame["image"]).mean() for frame in last.maps) > 235, "0 acts as 0.01"


async def test_an_update_after_the_end_is_dropped_and_the_socket_lives() -> None:
    async with serving() as worker, connected(worker.url) as viewer:
        await start(viewer, num_blocks=1)
        await viewer.stream()
        await viewer.say(image=colour((1, 2, 3)), prompt="a", num_blocks=9)
        await viewer.say(num_blocks=5)
        await viewer.say(prompt="b", num_blocks=1)
        assert len((await viewer.stream()).messages) == 7


async def test_a_bad_update_is_silent_and_with_events_a_warning_without_an_error_key() -> None:
    """The demo app hangs up on any text that has one."""
    bad = [{"num_blocks": 0}, {"strength": 1.5}, {"prompt": " "}, {"image": "/etc/passwd"}]
    async with serving() as worker:
        for url, expected in ((worker.url, 0), (worker.url + "?events=1", 6)):
            async with connected(url) as viewer:
                await start(viewer, num_blocks=10**6)
                await viewer.frame()
                for update in bad:
                    await viewer.say(**update)
                await viewer.say_raw(b"\xc1\xc1")
                await viewer.say_raw("text")
                await viewer.say(num_blocks=1)
                received = await viewer.stream()
                assert len(received.of("warning")) == expected
                assert not any("error" in text for text in received.texts)
