"""A model's streams over real sockets: each equals, byte for byte, the engine's own plain loop."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from support.servers.worker_server import Running, lane_held, serving
from support.viewers.plain_stream import QUICK, plain_stream, tiny_backend, tiny_random
from support.viewers.raw_viewer import Closed, RawViewer, colour, connected
from torch import Tensor

from framewire.worker.backends.wan import WanBackend
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.random_weights import TINY_RANDOM
from framewire.worker.models.setup import ModelSetup
from framewire.worker.runtime.pictures import decode_picture

EVENTS = "?events=1"


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Tensors this small lose by more, above all on a busy machine."""
    torch.set_num_threads(1)


@pytest.fixture
async def worker() -> AsyncIterator[Running]:
    async with serving(tiny_backend(), codec_threads=2) as running:
        yield running


async def streamed(url: str, **params: Any) -> list[bytes]:
    async with connected(url) as viewer:
        await viewer.say(**(QUICK | params))
        return (await viewer.stream()).frames


def picture(level: int, size: tuple[int, int] = (64, 64)) -> bytes:
    """A picture with something in every corner."""
    width, height = size
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = level
    pixels[:, : width // 2, 1] = 255 - level
    data = BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


async def test_text_to_video_is_the_engines_own_stream(worker: Running) -> None:
    """Decoding beside the next block's denoising changes nothing, over many blocks."""
    frames = await streamed(worker.url, prompt="a fox", num_blocks=6)
    assert len(frames) == 12 * 6 - 6
    assert frames == plain_stream("a fox", 6)


@pytest.mark.parametrize("window", [1, 4, 6])
async def test_every_context_length_is_served_alike(worker: Running, window: int) -> None:
    """However much of a block must be decoded before the next: all, none, or less than none."""
    frames = await streamed(worker.url, prompt="a", num_blocks=5, kv_cache_num_frames=window)
    assert frames == plain_stream("a", 5, kv_cache_num_frames=window)


async def test_a_context_computed_every_second_block_only_is_served_alike() -> None:
    """The keys in between are a stream's own: two at once leave each other alone."""
    options = EngineOptions(context_every=2)
    backend = WanBackend(TINY_RANDOM, lambda: tiny_random(options=options), ModelSetup())
    async with serving(backend) as worker:
        streams = (streamed(worker.url, prompt=prompt, num_blocks=6) for prompt in ("a", "b"))
        together = await asyncio.gather(*streams)
    for prompt, frames in zip(("a", "b"), together, strict=True):
        assert frames == plain_stream(prompt, 6, engine=tiny_random(options=options))


async def test_each_stage_is_timed_in_the_block_events(worker: Running) -> None:
    async with connected(worker.url + EVENTS) as viewer:
        await viewer.say(prompt="a", num_blocks=3, **QUICK)
        last = (await viewer.stream()).of("block")[-1]
    assert {"encode", "context", "denoise", "decode", "lane", "jpeg"} <= set(last["ms"])
    assert all(last["ms"].values())


async def test_a_start_frame_of_another_aspect_is_cropped_about_its_centre_and_followed(
    worker: Running,
) -> None:
    wide = picture(200, (192, 64))
    frames = await streamed(worker.url, prompt="a", num_blocks=2, start_frame=wide)
    middle = decode_picture(wide, 64, 64)
    assert frames == plain_stream("a", 2, start_frame=middle)
    assert frames != plain_stream("a", 2)


async def test_a_clip_is_used_picture_by_picture_and_strength_changes_in_mid_stream(
    worker: Running,
) -> None:
    clip = [picture(7 * number) for number in range(9 + 12 + 12)]
    async with connected(worker.url) as viewer:
        await viewer.say(
            prompt="a", num_blocks=3, webcam_mode=True, input="all", strength=0.3, **QUICK
        )
        await viewer.say(strength=0.9, at_block=2)
        for data in clip:
            await viewer.say(image=data)
        frames = (await viewer.stream()).frames
    pixels = [decode_picture(data, 64, 64) for data in clip]
    live: dict[str, Any] = {"pictures": pixels, "strength": 0.3}
    changed = plain_stream("a", 3, steer={2: lambda g: g.steer(strength=0.9)}, **live)
    assert frames == changed
    assert frames[18:] != plain_stream("a", 3, **live)[18:]


async def test_live_input_of_any_size_takes_over_from_text_at_the_next_block(
    worker: Running,
) -> None:
    """The first picture switches the stream; pictures of other sizes are resized, 1x1 too."""
    shown = [picture(20 * number, (64 + number, 100)) for number in range(8)] + [picture(9, (1, 1))]
    async with connected(worker.url + EVENTS) as viewer:
        async with lane_held(worker.inside):
            await viewer.say(prompt="a", num_blocks=1, **QUICK)
        text = (await viewer.frame(6)).frames
        await viewer.stream()
        await viewer.say(prompt="a", num_blocks=1, webcam_mode=True, strength=0.4)
        await viewer.event("started")  # before it has its place, it keeps the newest two
        for data in shown:
            await viewer.say(image=data)
        frames = (await viewer.stream()).frames
    assert text == plain_stream("a", 1)
    pixels = [decode_picture(data, 64, 64) for data in shown]
    assert frames == plain_stream("a", 1, pictures=pixels, strength=0.4)


async def test_a_new_prompt_enters_the_next_block_with_the_ramps_first_step(
    worker: Running,
) -> None:
    backend = worker.inside.backend
    assert isinstance(backend, WanBackend)
    engine, used = backend.engine, []
    write_text = engine.transformer.write_text

    def recording(embeds: Tensor, cache: Any) -> None:
        used.append(embeds)
        write_text(embeds, cache)

    engine.transformer.write_text = recording  # type: ignore[method-assign]
    async with connected(worker.url) as viewer:
        bird = {"prompt": "a blue bird at night", "interp_steps": 3, "at_block": 2}
        await viewer.say(prompt="a red fox", num_blocks=5, steers=[bird], **QUICK)
        frames = (await viewer.stream()).frames
    old, new = engine.encode_prompt("a red fox"), engine.encode_prompt("a blue bird at night")
    ramp = [torch.lerp(old, new, part / 3) for part in (1, 2)]
    assert len(used) == 4
    for embeds, expected in zip(used, [old, *ramp, new], strict=True):
        assert torch.allclose(embeds, expected, atol=1e-6)

    steered = plain_stream(
        "a red fox", 5, steer={2: lambda g: g.steer(prompt="a blue bird at night", interp_steps=3)}
    )
    assert frames == steered
    unsteered = plain_stream("a red fox", 5)
    assert frames[:18] == unsteered[:18]
    assert frames[18:30] != unsteered[18:30]


async def test_a_reset_starts_the_same_stream_again_with_the_latest_prompt(
    worker: Running,
) -> None:
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=1000, **QUICK)
        await viewer.frame(30)
        await viewer.say(action="reset", prompt="b", seed=11, num_blocks=3)
        frames = (await viewer.stream()).frames
    assert frames[-30:] == plain_stream("b", 3, seed=11)


async def test_two_viewers_at_once_see_what_each_would_see_alone(worker: Running) -> None:
    """Other prompts, sizes, windows and inputs in the same lane leave not a bit behind."""
    streams: list[dict[str, Any]] = [
        {"prompt": "a fox", "num_blocks": 5},
        {"prompt": "a bird", "num_blocks": 5, "seed": 9, "kv_cache_num_frames": 5},
        {"prompt": "a fish", "num_blocks": 5, "width": 96, "height": 80, "keep_first_frame": True},
    ]
    together = await asyncio.gather(*(streamed(worker.url, **stream) for stream in streams))
    for frames, stream in zip(together, streams, strict=True):
        rest = {k: v for k, v in stream.items() if k not in ("prompt", "num_blocks")}
        assert frames == plain_stream(stream["prompt"], stream["num_blocks"], **rest)


async def test_a_drain_in_mid_block_sends_the_block_whole_and_closes_as_restarting(
    worker: Running,
) -> None:
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=1000, **QUICK)
        await viewer.frame(7)
        async with lane_held(worker.inside):
            worker.server.begin_drain()
            await asyncio.wait_for(worker.inside.draining.wait(), 60)
        received = await viewer.end()
    _, rest = divmod(7 + len(received.frames) + 6, 12)
    assert rest == 0
    assert [text["error"] for text in received.texts] == ["AT_CAPACITY"]
    assert isinstance(received.last, Closed) and received.last.code == 1012


async def refused(viewer: RawViewer, **params: Any) -> dict[str, Any]:
    await viewer.say(**(QUICK | {"prompt": "a"} | params))
    error = await viewer.next()
    assert isinstance(error, dict) and error["type"] == "x-fal-error", error
    return error


@pytest.mark.parametrize(
    ("params", "named"),
    [
        ({"num_denoising_steps": 0}, "num_denoising_steps"),
        ({"num_denoising_steps": 9}, "num_denoising_steps"),
        ({"denoising_steps": [500, 1000]}, "denoising_steps"),
        ({"denoising_steps": [1000, 1000]}, "denoising_steps"),
        ({"width": 2048, "height": 2048}, "width"),
        ({"start_frame": colour((1, 2, 3), (10_000, 10_000))}, "start_frame"),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_what_cannot_be_streamed_is_named_and_the_next_params_are_taken(
    worker: Running, params: dict[str, Any], named: str
) -> None:
    backend = worker.inside.backend
    assert isinstance(backend, WanBackend)
    backend.budget.total = 200_000_000
    async with connected(worker.url) as viewer:
        error = await refused(viewer, **params)
        assert named in error["reason"], error["reason"]
        await viewer.say(prompt="a", num_blocks=1, **QUICK)
        assert (await viewer.stream()).frames == plain_stream("a", 1)


async def test_a_start_frame_of_one_pixel_is_a_picture_of_one_colour(worker: Running) -> None:
    dot = colour((200, 30, 90), (1, 1), "PNG")
    frames = await streamed(worker.url, prompt="a", num_blocks=1, start_frame=dot)
    even = np.full((64, 64, 3), (200, 30, 90), np.uint8)
    assert frames == plain_stream("a", 1, start_frame=even)


async def test_a_picture_too_large_in_mid_stream_is_dropped_and_the_stream_goes_on(
    worker: Running,
) -> None:
    async with connected(worker.url + EVENTS) as viewer:
        await viewer.say(
            prompt="a", num_blocks=1, webcam_mode=True, input="all", strength=0.5, **QUICK
        )
        await viewer.say(image=colour((1, 2, 3), (10_000, 10_000)))
        shown = [picture(25 * number) for number in range(9)]
        for data in shown:
            await viewer.say(image=data)
        received = await viewer.stream()
    assert "100 megapixels" in received.of("warning")[0]["reason"]
    pixels = [decode_picture(data, 64, 64) for data in shown]
    assert received.frames == plain_stream("a", 1, pictures=pixels, strength=0.5)


async def test_no_memory_for_one_more_stream_is_at_capacity_and_leaves_the_running_one_alone(
    worker: Running,
) -> None:
    backend = worker.inside.backend
    assert isinstance(backend, WanBackend)
    async with connected(worker.url) as first:
        await first.say(prompt="a fox", num_blocks=1000, **QUICK)
        shown = (await first.frame(6)).frames
        backend.budget.total = backend.budget.taken + 1
        async with connected(worker.url) as second:
            error = await refused(second)
            assert error["error"] == "AT_CAPACITY" and "no memory" in error["reason"]
            assert (await second.end()).last.code == 1013
        shown += (await first.frame(24)).frames
    assert shown == plain_stream("a fox", 3)


async def test_a_device_that_runs_out_of_memory_as_a_stream_opens_ends_that_stream_only(
    worker: Running,
) -> None:
    backend = worker.inside.backend
    assert isinstance(backend, WanBackend)
    text_encoder: Any = backend.engine.shared.text_encoder
    encode = text_encoder.encode

    def failing(text: str) -> Tensor:
        if text == "too much":
            raise torch.OutOfMemoryError("CUDA out of memory")
        return encode(text)

    text_encoder.encode = failing
    async with connected(worker.url) as first:
        await first.say(prompt="a fox", num_blocks=3, **QUICK)
        async with connected(worker.url) as second:
            error = await refused(second, prompt="too much")
            assert error["error"] == "AT_CAPACITY"
        assert (await first.stream()).frames == plain_stream("a fox", 3)
    held = backend.budget.taken
    assert await streamed(worker.url, prompt="a", num_blocks=1) == plain_stream("a", 1)
    assert backend.budget.taken <= held


async def test_a_model_of_one_size_is_scaled_to_the_size_that_is_asked_for() -> None:
    """Frames leave and pictures enter at the viewer's size; the model sees its own."""
    backend = WanBackend(TINY_RANDOM, tiny_random, ModelSetup(), native=True)
    assert (backend.defaults.width, backend.defaults.height) == (832, 480)
    wide = picture(120, (128, 96))
    size = {"width": 128, "height": 96}
    async with serving(backend) as worker:
        frames = await streamed(worker.url, prompt="a", num_blocks=2, start_frame=wide, **size)
        same = await streamed(worker.url, prompt="a", num_blocks=1)
    assert len(frames) == 18
    assert all(Image.open(BytesIO(frame)).size == (128, 96) for frame in frames)
    assert same == plain_stream("a", 1)
