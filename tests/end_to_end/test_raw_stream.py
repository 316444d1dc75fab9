"""Whole streams over real sockets, without our client: counts, order, bytes, and many at once."""

import asyncio
import base64
import time
from io import BytesIO

import msgpack
import pytest
import websockets
from PIL import Image
from support.servers.worker_server import serving
from support.viewers.raw_viewer import READY, SMALL, apart, colour, connected, pixels, streamed


@pytest.mark.parametrize("path", ["/ws", "/fal-ai/krea-wan-14b/ws"])
@pytest.mark.parametrize("blocks", [1, 2, 20])
async def test_twelve_frames_a_block_less_six_then_completed_then_new_params(
    path: str, blocks: int
) -> None:
    async with serving() as worker, connected(worker.url.removesuffix("/ws") + path) as viewer:
        await viewer.say(prompt="a lighthouse", num_blocks=blocks, seed=7, **SMALL)
        first = await viewer.stream()
        assert len(first.frames) == 12 * blocks - 6 == len(first.messages) - 1
        assert all(
            frame.startswith(b"\xff\xd8") and frame.endswith(b"\xff\xd9") for frame in first.frames
        )
        assert first.last["status"] == "completed" and first.last["session_id"]
        await viewer.say(prompt="another", num_blocks=1)
        second = await viewer.stream()
        assert len(second.frames) == 6 == len(second.messages) - 1
        assert Image.open(BytesIO(second.frames[0])).size == (128, 64)
        assert apart(first.frames[0], second.frames[0]) > 5


async def test_the_shape_of_kreas_own_server_names_the_worker_and_keeps_the_session_id() -> None:
    async with serving() as worker:
        url = worker.url.removesuffix("/ws") + "/session/my-session"
        async with websockets.connect(url, proxy=None) as socket:
            ready = await socket.recv()
            assert isinstance(ready, str)
            assert ready.startswith('{"status":"ready","worker":"') and ready != READY


async def test_nothing_is_sent_between_ready_and_params() -> None:
    async with serving() as worker, connected(worker.url) as viewer:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(viewer.socket.recv(), 0.2)
        await viewer.say(prompt="a", num_blocks=1, **SMALL)
        assert len((await viewer.stream()).messages) == 7


async def test_params_sent_before_ready_was_read_count() -> None:
    async with serving() as worker, websockets.connect(worker.url, proxy=None) as socket:
        await socket.send(msgpack.packb({"prompt": "a", "num_blocks": 1, **SMALL}))
        assert await socket.recv() == READY
        assert str(await socket.recv(), "latin-1").startswith("\xff\xd8")


async def test_permessage_deflate_is_not_offered() -> None:
    async with serving() as worker, connected(worker.url, compression="deflate") as viewer:
        assert viewer.socket.protocol.extensions == []


async def test_the_same_asked_for_twice_is_the_same_to_the_byte_and_anything_else_is_not() -> None:
    base = {"prompt": "a red circle", "seed": 7, "num_blocks": 2}
    async with serving() as worker:
        first = await streamed(worker.url, **base)
        assert await streamed(worker.url, **base) == first
        for changed in (
            {"prompt": "a blue circle"},
            {"seed": 8},
            {"width": 192},
            {"num_denoising_steps": 2},
        ):
            other = await streamed(worker.url, **(base | changed))
            assert len(other) == len(first)
            assert all(ours != theirs for ours, theirs in zip(first, other, strict=True)), changed
        assert (await streamed(worker.url, **(base | {"num_blocks": 1}))) == first[:6]


async def test_two_sessions_at_once_are_each_what_they_are_alone() -> None:
    one = {"prompt": "a green square", "seed": 1, "num_blocks": 6}
    two = {"prompt": "a gold triangle", "seed": 2, "num_blocks": 6, "width": 96}
    async with serving() as worker:
        alone = [await streamed(worker.url, **one), await streamed(worker.url, **two)]
        together = await asyncio.gather(streamed(worker.url, **one), streamed(worker.url, **two))
    assert list(together) == alone


async def test_thirty_two_sessions_at_once_all_complete() -> None:
    async with serving(max_sessions=32) as worker:
        everyone = await asyncio.gather(
            *(streamed(worker.url, prompt=f"number {n}", seed=n, num_blocks=2) for n in range(32))
        )
        assert [len(frames) for frames in everyone] == [18] * 32
        assert len({frames[-1] for frames in everyone}) == 32
        async with asyncio.timeout(30):  # a place is freed once its backend session is closed
            while worker.inside.admission.taken:  # noqa: ASYNC110
                await asyncio.sleep(0)


async def test_a_paced_stream_takes_its_time() -> None:
    async with serving() as worker, connected(worker.url) as viewer:
        began = time.monotonic()
        await viewer.say(prompt="a", num_blocks=2, fps=60, **SMALL)
        assert len((await viewer.stream()).frames) == 18
        assert time.monotonic() - began >= 17 / 60


async def test_an_unpaced_stream_does_not() -> None:
    async with serving() as worker:
        began = time.monotonic()
        await streamed(worker.url, prompt="a", num_blocks=80)
        assert time.monotonic() - began < 954 / 16, "faster than anybody looks at it"


async def test_ten_thousand_prompts_in_a_moment_and_the_newest_wins() -> None:
    async with (
        serving() as worker,
        connected(worker.url + "?events=1") as viewer,
        connected(worker.url) as other,
    ):
        await viewer.say(prompt="start", num_blocks=10**6, **SMALL)
        await viewer.frame()
        for number in range(10_000):
            await viewer.say(prompt=f"number {number}", interp_steps=1)
        await viewer.say(num_blocks=1)
        received = await viewer.stream()
        asked = received.of("steered")
        assert asked[-1]["applied"] in (["num_blocks"], ["num_blocks", "prompt"])
        assert len(asked) < 10_000
        await other.say(prompt="b", num_blocks=1, **SMALL)
        assert len((await other.stream()).frames) == 6
        await viewer.say(action="reset")
        again = await viewer.stream()
    async with serving() as worker:
        seed = again.of("started")[0]["seed"]
        expected = await streamed(worker.url, prompt="number 9999", seed=seed, num_blocks=1)
    assert again.frames == expected


@pytest.mark.parametrize(
    ("asked", "given"),
    [((100, 71), (104, 72)), ((64, 64), (64, 64)), ((67, 68), (64, 72)), ((2048, 65), (2048, 64))],
)
async def test_sizes_are_snapped_and_never_refused_for_being_unaligned(
    asked: tuple[int, int], given: tuple[int, int]
) -> None:
    async with serving() as worker, connected(worker.url + "?events=1") as viewer:
        await viewer.say(prompt="a", num_blocks=1, width=asked[0], height=asked[1])
        received = await viewer.stream()
        started = received.of("started")[0]
        assert (started["width"], started["height"]) == given
        assert Image.open(BytesIO(received.frames[0])).size == given


async def test_numbers_as_javascript_sends_them_and_keys_nobody_knows_are_taken() -> None:
    async with serving() as worker:
        plain = await streamed(worker.url, prompt="a", seed=3, num_blocks=2)
        odd = await streamed(
            worker.url,
            prompt="a", seed=3.0, num_blocks=2.0, width=128.0, height=64.0, num_denoising_steps=4.0,
            strength=0.5, timestamp=1e12, unknown={"deep": [1]}, start_frame=None, fps=None,
        )  # fmt: skip
        assert odd == plain


async def test_a_start_frame_shows_as_bytes_as_base64_and_as_data_url() -> None:
    red = colour((255, 0, 0), fmt="PNG")
    coded = base64.b64encode(red).decode()
    async with serving() as worker:
        streams = [
            await streamed(
                worker.url, prompt="a blue square", seed=1, num_blocks=1, start_frame=form
            )
            for form in (red, coded, f"data:image/png;base64,{coded}")
        ]
    assert streams[0] == streams[1] == streams[2]
    middle = pixels(streams[0][0])[24:40, 32:96].mean((0, 1))
    assert middle[0] > 200 and middle[1:].max() < 60
