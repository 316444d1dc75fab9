"""The models of live input and of endless text over real sockets, on tiny random weights."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from io import BytesIO
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.servers.worker_server import Running, lane_held, serving
from support.viewers.raw_viewer import Closed, RawViewer, connected

from framewire.worker.backends.presets import servable_presets
from framewire.worker.engine.options import EngineOptions
from framewire.worker.models.setup import ModelSetup
from framewire.worker.server.on_uvicorn.websocket import WebSocketProtocol

LIVE: dict[str, Any] = {"prompt": "a fox", "seed": 3, "webcam_mode": True}


@asynccontextmanager
async def model(
    preset: str, setup: ModelSetup | None = None, **config: Any
) -> AsyncIterator[Running]:
    backend = servable_presets()[preset].make(setup or ModelSetup(warm_sizes="64x64"))
    async with serving(backend, codec_threads=1, **config) as running:
        yield running


@pytest.fixture
async def worker() -> AsyncIterator[Running]:
    async with model("tiny-streamdiffusionv2") as running:
        yield running


def picture(number: int, size: tuple[int, int] = (64, 64)) -> bytes:
    """Frame `number` of a clip in which a bar moves to the right, as a PNG."""
    pixels = np.full((size[1], size[0], 3), 60, np.uint8)
    pixels[:, (3 * number) % size[0] :][:, :8] = (230, 120, 40)
    data = BytesIO()
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def size_of(frame: bytes) -> tuple[int, int]:
    return Image.open(BytesIO(frame)).size


async def send(viewer: RawViewer, numbers: range, size: tuple[int, int] = (64, 64)) -> None:
    for number in numbers:
        await viewer.say(image=picture(number, size), request_id=f"id {number}")


async def test_a_five_second_clip_comes_back_frame_by_frame_in_order(worker: Running) -> None:
    """80 pictures of 16 a second: 5, then 4 a block; the last block is padded by the worker."""
    async with connected(worker.url + "?events=1&fmt=msgpack") as viewer:
        await viewer.say(**LIVE, input="all", num_blocks=1000)
        sending = asyncio.create_task(send(viewer, range(80)))
        first = await viewer.frame(70)
        await sending
        await viewer.say(action="end")
        received = await viewer.stream()
    maps = first.maps + received.maps
    blocks = first.of("block") + received.of("block")
    assert [block["frames"] for block in blocks] == [5] + [4] * 19
    assert len(maps) == 81
    ids = [int(frame["request_id"].removeprefix("id ")) for frame in maps]
    assert ids == [*range(80), 79]
    assert [frame["index"] for frame in maps] == list(range(81))
    assert all(block["ms"]["input_to_frame"] > 0 for block in blocks)


async def test_the_size_is_the_first_pictures_where_none_is_asked_for(worker: Running) -> None:
    """And stays: pictures of other sizes are cut and scaled to it."""
    async with connected(worker.url + "?events=1") as viewer:
        await viewer.say(**LIVE, input="all", num_blocks=2)
        await send(viewer, range(5), (130, 66))
        await send(viewer, range(5, 7), (64, 200))
        await send(viewer, range(7, 9), (640, 65))
        received = await viewer.stream()
    started = received.of("started")[0]
    assert (started["width"], started["height"]) == (128, 64)
    assert {size_of(frame) for frame in received.frames} == {(128, 64)}
    assert len(received.frames) == 9


async def test_text_without_any_input_is_streamed_as_well(worker: Running) -> None:
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="a fox", seed=3, num_blocks=3, width=64, height=64)
        assert len((await viewer.stream()).frames) == 5 + 4 + 4


async def test_steps_that_only_refine_are_refused_without_input_by_name(worker: Running) -> None:
    """And the socket stays open for better params."""
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="a", denoising_steps=[700, 500], width=64, height=64)
        refused = await viewer.next()
        assert refused["error"][0]["loc"] == ["denoising_steps"]
        assert "set webcam_mode and send `image` maps" in refused["reason"]
        await viewer.say(prompt="a", num_blocks=1, width=64, height=64, denoising_steps=[1000, 500])
        assert len((await viewer.stream()).frames) == 5


async def test_a_prompt_and_the_noise_scale_are_steered_in_mid_stream(worker: Running) -> None:
    """Each changes the next block; what was before is as in the stream without."""

    async def stream(**steered: Any) -> list[bytes]:
        async with connected(worker.url) as viewer:
            await viewer.say(**LIVE, input="all", num_blocks=5, width=64, height=64)
            if steered:
                await viewer.say(**steered, at_block=3)
            await send(viewer, range(21))
            return (await viewer.stream()).frames

    plain = await stream()
    for steered in ({"prompt": "snow"}, {"noise_scale": 0.3}, {"noise_controller": False}):
        changed = await stream(**steered)
        assert len(changed) == len(plain) == 21
        assert changed[:13] == plain[:13], steered
        assert all(a != b for a, b in zip(changed[13:17], plain[13:17], strict=True)), steered


async def test_two_live_sessions_do_not_see_each_other(worker: Running) -> None:
    async def stream(first: int, seed: int) -> list[bytes]:
        async with connected(worker.url) as viewer:
            await viewer.say(
                **(LIVE | {"seed": seed}), input="all", num_blocks=6, width=64, height=64
            )
            await send(viewer, range(first, first + 25))
            return (await viewer.stream()).frames

    alone = [await stream(0, 1), await stream(50, 2)]
    together = await asyncio.gather(stream(0, 1), stream(50, 2))
    assert together == alone
    assert alone[0] != alone[1]


async def test_a_sender_faster_than_the_worker_is_shown_what_is_newest(worker: Running) -> None:
    """Pictures pile up nowhere: the oldest are dropped and counted, and frames are of late ones.

    While the lane is held, as by a slow model, five seconds' worth of 60 pictures a second come in.
    """
    dropped = worker.inside.metrics.pictures_dropped._value.get()
    async with connected(worker.url + "?events=1&fmt=msgpack") as viewer:
        await viewer.say(**LIVE, num_blocks=3, width=64, height=64)
        await send(viewer, range(5))
        await viewer.frame(5)
        async with lane_held(worker.inside):
            await send(viewer, range(5, 305))
            await viewer.say(num_blocks="nothing to be understood")
            await viewer.event("warning")  # all before it was taken in
        maps = (await viewer.frame(4)).maps
        await viewer.say(action="end")
        rest = (await viewer.stream()).maps
    numbers = [int(frame["request_id"].removeprefix("id ")) for frame in maps + rest]
    assert all(before <= after for before, after in pairwise(numbers))
    assert numbers[-1] == 304
    assert min(n for n in numbers if n > 12) >= 301
    assert worker.inside.metrics.pictures_dropped._value.get() - dropped >= 288


async def test_live_input_that_never_comes_ends_in_a_timeout_that_names_image() -> None:
    """With and without a size: no place is held, nobody waits for ever, others go on."""
    async with model("tiny-streamdiffusionv2", ready_timeout=1.5) as worker:
        for size in ({}, {"width": 64, "height": 64}):
            async with connected(worker.url) as viewer:
                await viewer.say(**LIVE, **size)
                received = await viewer.end()
            assert received.messages[-2]["error"] == "TIMEOUT"
            assert "`image`" in received.messages[-2]["reason"]
            assert isinstance(received.last, Closed)
            assert received.last.code == 1008


async def test_a_gap_in_the_input_holds_nobody_else_up(worker: Running) -> None:
    """A session that waits for pictures leaves the lane to others."""
    async with connected(worker.url) as waiting:
        await waiting.say(**LIVE, num_blocks=2, width=64, height=64, input="all")
        await send(waiting, range(7))
        await waiting.frame(5)
        async with connected(worker.url) as other:
            await other.say(prompt="a", num_blocks=4, width=64, height=64)
            assert len((await other.stream()).frames) == 17
        await send(waiting, range(7, 9))
        assert len((await waiting.stream()).frames) == 4


async def test_a_clip_that_waits_unread_is_not_taken_for_a_viewer_that_is_gone(
    worker: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its pongs are behind its pictures: two keepalive limits pass, and every picture is used."""
    passed = asyncio.Semaphore(0)

    def keepalive_timeout(protocol: WebSocketProtocol) -> None:
        if protocol.read_paused:  # else this machine is slow
            timed_out(protocol)
            passed.release()

    timed_out = WebSocketProtocol.keepalive_timeout
    monkeypatch.setattr(WebSocketProtocol, "keepalive_timeout", keepalive_timeout)
    for setting in ("ws_ping_interval", "ws_ping_timeout"):
        monkeypatch.setattr(worker.server.config, setting, 0.02)
    async with connected(worker.url) as viewer:
        await viewer.say(**LIVE, input="all", num_blocks=8, width=64, height=64)
        async with lane_held(worker.inside):
            sending = asyncio.create_task(send(viewer, range(33)))
            for _ in range(2):
                await asyncio.wait_for(passed.acquire(), 60)
        await sending
        assert len((await viewer.stream()).frames) == 33


async def test_batched_steps_give_frames_the_ids_of_their_own_pictures() -> None:
    """One block late, with two steps; text alone is refused by name."""
    setup = ModelSetup(warm_sizes="64x64", options=EngineOptions(batch_steps=True))
    async with (
        model("tiny-streamdiffusionv2", setup) as worker,
        connected(worker.url + "?fmt=msgpack") as viewer,
    ):
        await viewer.say(prompt="a", width=64, height=64)
        refused = await viewer.next()
        assert refused["error"][0]["loc"] == ["webcam_mode"]
        await viewer.say(**LIVE, input="all", num_blocks=4, width=64, height=64)
        await send(viewer, range(17))
        maps = (await viewer.stream()).maps
    assert [frame["request_id"] for frame in maps] == [f"id {number}" for number in range(13)]
    assert [frame["index"] for frame in maps] == list(range(13))


async def test_self_forcing_streams_past_its_cache_and_takes_a_new_prompt() -> None:
    """9 frames, then 12 a block, without the reference's end at seven blocks."""
    async with model("tiny-self-forcing") as worker:
        params: dict[str, Any] = {"prompt": "a fox", "seed": 3, "num_blocks": 9}
        async with connected(worker.url) as viewer:
            await viewer.say(**params)
            plain = (await viewer.stream()).frames
        async with connected(worker.url) as viewer:
            await viewer.say(**params, steers=[{"prompt": "snow", "at_block": 8}])
            steered = (await viewer.stream()).frames
    assert len(plain) == len(steered) == 9 + 8 * 12
    assert plain[:93] == steered[:93]
    assert all(a != b for a, b in zip(plain[93:], steered[93:], strict=True))


@pytest.mark.parametrize(
    ("name", "steps", "shift", "context", "strength"),
    [
        ("streamdiffusionv2-1.3b", 2, 8.0, 5, 0.8),
        ("self-forcing-1.3b", 4, 5.0, 18, 0.8),
        ("krea-realtime-14b", 4, 5.0, 3, 0.8),
    ],
)
def test_each_preset_has_its_own_defaults_on_the_wire(
    name: str, steps: int, shift: float, context: int, strength: float
) -> None:
    from framewire.worker.backends.wan import WanBackend
    from framewire.worker.engine.preset import PRESETS

    def build() -> Any:
        raise AssertionError("not loaded")

    defaults = WanBackend(PRESETS[name], build).defaults
    assert (defaults.num_denoising_steps, defaults.timestep_shift) == (steps, shift)
    assert (defaults.kv_cache_num_frames, defaults.strength) == (context, strength)
    assert defaults.follows_start_frame == (name == "streamdiffusionv2-1.3b")


async def test_input_that_ends_before_it_began_makes_an_empty_stream(worker: Running) -> None:
    """A size that was to be the first picture's is not waited for any longer."""
    async with connected(worker.url) as viewer:
        await viewer.say(**LIVE)
        await viewer.say(action="end")
        assert (await viewer.stream()).frames == []
        await viewer.say(prompt="a", num_blocks=1, webcam_mode=False, width=64, height=64)
        assert len((await viewer.stream()).frames) == 5


async def test_a_drain_does_not_wait_for_a_first_picture() -> None:
    async with model("tiny-streamdiffusionv2") as worker, connected(worker.url) as viewer:
        await viewer.say(**LIVE, events=True)
        await viewer.say(num_blocks="nothing to be understood")
        await viewer.event("warning")
        worker.server.should_exit = True
        assert (await viewer.end()).last.code == 1012
