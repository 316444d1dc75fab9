"""A client that behaves as fal's demo app in webcam mode, against the worker."""

import asyncio
import time
from typing import Any

import msgpack
import numpy as np
from support.servers.worker_server import serving
from support.viewers.raw_viewer import RawViewer, Received, colour, connected, pixels

SIZE = (128, 64)
GREEN = colour((0, 255, 0), SIZE)
START = "a black night"
TYPED = "a red fire"


async def film(viewer: RawViewer, every: float, **extra: Any) -> None:
    """Send what the app sends with each picture of the camera: numbers as floats where it does."""
    while True:
        await viewer.say(
            image=GREEN, prompt=START, num_blocks=1000, timestamp=time.time() * 1000, **extra
        )
        await asyncio.sleep(every)


def redness(received: Received) -> list[float]:
    """Per frame, how much redder than blue it is: the typed prompt's colour, not the camera's."""
    means = [pixels(frame["image"]).mean((0, 1)) for frame in received.maps]
    return [float(mean[0] - mean[2]) for mean in means]


async def test_the_webcam_app_sees_its_pictures_and_keeps_what_its_user_typed() -> None:
    async with (
        serving(camera_wait=60) as worker,
        connected(worker.url + "?fmt=msgpack&events=1") as viewer,
    ):
        await viewer.say(
            prompt=START, num_blocks=1000, num_denoising_steps=4, strength=0.5,
            width=SIZE[0], height=SIZE[1], seed=5, start_frame=GREEN,
        )  # fmt: skip
        filming = asyncio.create_task(film(viewer, 0.005, strength=0.5))
        before = await viewer.event("block")
        await viewer.say(prompt=TYPED, num_blocks=1000)
        after = await viewer.event("steered")
        (steered,) = after.of("steered")
        assert "prompt" in steered["applied"] and steered["prompt_version"] == 2
        live = Received([])
        while len(live.of("block")) < 6:
            live = Received(live.messages + (await viewer.event("block")).messages)
        filming.cancel()
        await asyncio.gather(filming, return_exceptions=True)
    # The green of the camera shows in every live frame: half of 255 at strength 0.5.
    greens = [pixels(frame["image"])[..., 1].mean() for frame in live.maps]
    assert min(greens) > 100
    versions = [frame["prompt_version"] for frame in live.maps]
    assert set(versions[12:]) == {2}, "the repeated start prompt must not undo the typed one"
    assert not [s for s in live.of("steered") if "prompt" in s["applied"]]
    reds = redness(live)
    assert np.mean(reds[-12:]) > np.mean(redness(before)[:6]) + 20


async def test_a_camera_that_comes_late_finds_one_block_made_from_text_and_not_hundreds() -> None:
    """The app in camera mode says nothing of it: a start frame, and pictures half a second later."""
    async with (
        serving(camera_wait=60) as worker,
        connected(worker.url + "?fmt=msgpack") as viewer,
        connected(worker.url) as other,
    ):
        await viewer.say(
            prompt=START, num_blocks=4, num_denoising_steps=4, strength=0.01,
            width=SIZE[0], height=SIZE[1], seed=5, start_frame=GREEN,
        )  # fmt: skip
        await viewer.frame(6)
        await other.say(prompt=TYPED, num_blocks=10, width=SIZE[0], height=SIZE[1])
        await other.stream()
        filming = asyncio.create_task(film(viewer, 0.002, request_id="camera"))
        live = await viewer.frame(36)
        filming.cancel()
        await asyncio.gather(filming, return_exceptions=True)
    assert [frame["index"] for frame in live.maps] == list(range(6, 42))
    assert {frame["request_id"] for frame in live.maps} == {"camera"}


async def test_the_text_app_types_and_never_gets_a_text_with_an_error() -> None:
    async with serving() as worker, connected(worker.url) as viewer:
        await viewer.say(
            prompt=START, num_blocks=1000, num_denoising_steps=4, strength=0.5, width=128, height=64
        )
        await viewer.frame(20)
        for prompt in (TYPED, "a blue sea"):
            await viewer.say(prompt=prompt, num_blocks=1000)
            received = await viewer.frame(20)
            assert not received.texts
        await viewer.say(action="reset")
        assert not (await viewer.frame(60)).texts


async def test_the_first_picture_switches_a_text_stream_to_live_input() -> None:
    async with serving() as worker, connected(worker.url + "?fmt=msgpack") as viewer:
        await viewer.say(prompt=START, num_blocks=10**6, strength=0.01, width=128, height=64)
        text = await viewer.frame(10)
        assert pixels(text.maps[-1]["image"])[..., 1].mean() < 100
        filming = asyncio.create_task(film(viewer, 0.002, request_id="camera"))
        received = await viewer.until(
            lambda m: isinstance(m, bytes) and msgpack.unpackb(m)["request_id"] == "camera"
        )
        assert pixels(received.maps[-1]["image"])[..., 1].mean() > 240
        filming.cancel()
        await asyncio.gather(filming, return_exceptions=True)


async def test_a_camera_that_falls_silent_leaves_its_newest_picture_in_the_stream() -> None:
    async with (
        serving(input_patience=3) as worker,
        connected(worker.url + "?fmt=msgpack&events=1") as viewer,
    ):
        await viewer.say(
            prompt=START, num_blocks=4, webcam_mode=True, strength=0.01, width=128, height=64
        )
        await viewer.event("started")  # before it has its place, it keeps the newest two
        for number in range(8):
            await viewer.say(image=GREEN, request_id=f"{number}")
        received = await viewer.stream()
    ids = [frame["request_id"] for frame in received.maps]
    assert len(ids) == 42 and set(ids[8:]) == {"7"}
    assert sorted(ids) == ids
    assert all(pixels(frame["image"])[..., 1].mean() > 240 for frame in received.maps[::6])


async def test_a_clip_is_used_picture_by_picture_and_ends_its_stream() -> None:
    async with serving() as worker, connected(worker.url + "?fmt=msgpack") as viewer:
        await viewer.say(
            prompt="a", input="all", webcam_mode=True, num_blocks=1000, width=128, height=64
        )

        async def send_clip() -> None:
            for number in range(50):
                await viewer.say(image=GREEN, request_id=f"{number}")
            await viewer.say(action="end")

        sending = asyncio.create_task(send_clip())
        received = await viewer.stream()
        await sending
    ids = [int(frame["request_id"]) for frame in received.maps]
    assert ids == [*range(50), *[49] * 4], "each once and in order, the last block padded"
