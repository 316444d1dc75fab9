"""What bad input gets: the answer, and everything else lives on.

One worker for all cases, with a viewer on it whose stream never ends; after every case that stream
must have gone on and the worker must serve a new one.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import msgpack
import pytest
import pytest_asyncio
import websockets.sync.client
from support.hostile_pictures import jpeg_of_scans, png_of_size, webp_of_size
from support.servers.worker_server import Running, serving
from support.viewers.raw_viewer import SMALL, RawViewer, colour, connected, streamed

pytestmark = pytest.mark.asyncio(loop_scope="module")

GOOD = {"prompt": "a", "num_blocks": 1} | SMALL


class Witness:
    """Reads an endless stream; `frames` says how far it has come."""

    def __init__(self, viewer: RawViewer) -> None:
        self._viewer = viewer
        self._more = asyncio.Condition()
        self.frames = 0

    async def watch(self) -> None:
        await self._viewer.say(**(GOOD | {"num_blocks": 10**9, "fps": 200}))
        while True:
            await self._viewer.frame()
            async with self._more:
                self.frames += 1
                self._more.notify_all()

    async def sees(self, count: int) -> None:
        """Wait for `count` frames more."""
        wanted = self.frames + count
        async with asyncio.timeout(60), self._more:
            await self._more.wait_for(lambda: self.frames >= wanted)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[Running]:
    async with serving() as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def witness(worker: Running) -> AsyncIterator[Witness]:
    async with connected(worker.url) as viewer:
        watching = Witness(viewer)
        task = asyncio.create_task(watching.watch())
        yield watching
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest_asyncio.fixture(loop_scope="module", autouse=True)
async def _everything_else_lives_on(worker: Running, witness: Witness) -> AsyncIterator[None]:
    yield
    await witness.sees(2)
    assert len(await streamed(worker.url, prompt="b", num_blocks=1)) == 6
    async with asyncio.timeout(30):  # a place is freed once its backend session is closed
        while worker.inside.admission.taken > 1:  # noqa: ASYNC110
            await asyncio.sleep(0)
    assert worker.inside.ready and worker.inside.admission.taken == 1


async def still_open(viewer: RawViewer) -> None:
    await viewer.say(**GOOD)
    assert len((await viewer.stream()).messages) == 7


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xc1", "malformed msgpack"),
        (b"", "malformed msgpack"),
        (msgpack.packb(GOOD)[:-3], "ends too early"),
        (msgpack.packb(GOOD) + b"\x00", "1 bytes after"),
        (msgpack.packb([1, 2, 3]), "got list"),
        (msgpack.packb("prompt"), "got str"),
        (msgpack.packb(None), "got NoneType"),
        (b"\x91" * 5000, "nested deeper"),
        (b"\xdd\xff\xff\xff\xff", "msgpack"),
        (b"\xdf\xff\xff\xff\xff" + b"\xc0" * 99, "msgpack"),
        (b"\xc6\xff\xff\xff\xff", "ends too early"),
        (b"\xff\xd8\xff\xe0 a whole JPEG", "after the msgpack map"),
        ('{"prompt": "in JSON"}', "BINARY"),
        ("", "BINARY"),
    ],
)
async def test_what_is_no_params_at_all_is_a_bad_message_and_the_next_params_are_tried(
    worker: Running, data: bytes | str, words: str
) -> None:
    async with connected(worker.url) as viewer:
        await viewer.say_raw(data)
        answer = await viewer.next()
        assert (answer["type"], answer["error"]) == ("x-fal-error", "BAD_MESSAGE")
        assert words in answer["reason"]
        await still_open(viewer)


BAD_PARAMS = {
    "no prompt": ({"prompt": None}, "prompt"),
    "a blank prompt": ({"prompt": " \n"}, "prompt"),
    "a prompt that is a number": ({"prompt": 7}, "prompt"),
    "an endless prompt": ({"prompt": "x" * 100_000}, "prompt"),
    "63 pixels wide": ({"width": 63}, "width"),
    "2049 pixels high": ({"height": 2049}, "height"),
    "half a pixel": ({"width": 100.5}, "width"),
    "width true": ({"width": True}, "width"),
    "no blocks": ({"num_blocks": 0}, "num_blocks"),
    "nine denoising steps": ({"num_denoising_steps": 9}, "num_denoising_steps"),
    "rising steps": ({"denoising_steps": [500, 900]}, "denoising_steps"),
    "strength 1.5": ({"strength": 1.5}, "strength"),
    "strength not a number": ({"strength": float("nan")}, "strength"),
    "seed -1": ({"seed": -1}, "seed"),
    "seed 2^24 + 1": ({"seed": 2**24 + 1}, "seed"),
    "an input nobody knows": ({"input": "some"}, "input"),
    "less than no frames a second": ({"fps": -1}, "fps"),
    "no frame in a lifetime": ({"fps": 5e-324}, "fps"),
    "more blocks than 63 bits count": ({"num_blocks": 2**63}, "num_blocks"),
    "a prompt of bytes": ({"prompt": b"a"}, "prompt"),
    "a picture that is none": ({"start_frame": b"none"}, "start_frame"),
    "a picture that is a path": ({"start_frame": "/etc/passwd"}, "start_frame"),
    "a picture that is a URL": ({"start_frame": "http://127.0.0.1/x.png"}, "start_frame"),
    "half a picture": ({"start_frame": colour((1, 2, 3))[:200]}, "start_frame"),
    "100 megapixels": ({"start_frame": png_of_size(10_000, 10_000)}, "start_frame"),
    "four gigapixels in a strip": ({"start_frame": png_of_size(2**31 - 1, 2)}, "start_frame"),
    "65 scans": ({"start_frame": jpeg_of_scans(65)}, "start_frame"),
    "a picture without pixels": ({"start_frame": png_of_size(0, 0)}, "start_frame"),
    "an empty picture": ({"start_frame": b""}, "start_frame"),
}


@pytest.mark.parametrize("name", BAD_PARAMS)
async def test_bad_params_are_named_and_the_next_ones_are_tried(worker: Running, name: str) -> None:
    changed, key = BAD_PARAMS[name]
    async with connected(worker.url) as viewer:
        await viewer.say(**(GOOD | changed))
        answer = await viewer.next()
        assert answer["type"] == "x-fal-error"
        assert [item["loc"][0] for item in answer["error"]] == [key]
        assert all({"type", "loc", "msg"} <= set(item) for item in answer["error"])
        assert answer["reason"].startswith(key) and "\n" not in answer["reason"]
        await still_open(viewer)


@pytest.mark.parametrize(
    "update",
    [
        {"image": colour((9, 9, 9))},
        {"num_blocks": 9},
        {"strength": 0.3},
        {"action": "reset"},
        {"action": "end"},
        {},
    ],
)
async def test_an_update_before_params_is_params_without_a_prompt(
    worker: Running, update: dict[str, Any]
) -> None:
    async with connected(worker.url) as viewer:
        await viewer.say(**update)
        answer = await viewer.next()
        assert [item["loc"] for item in answer["error"]] == [["prompt"]]
        await still_open(viewer)


@pytest.mark.parametrize("seed", [0, 2**24])
async def test_the_ends_of_a_range_are_in_it(worker: Running, seed: int) -> None:
    assert await streamed(worker.url, prompt="a", num_blocks=1, seed=seed, width=64, height=64)


async def test_seventeen_mebibytes_are_closed_with_1009(worker: Running) -> None:
    async with connected(worker.url) as viewer:
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await viewer.say(**(GOOD | {"start_frame": bytes(17 * 2**20)}))
            await viewer.socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


async def test_seventeen_mebibytes_in_mid_stream_are_closed_with_1009(worker: Running) -> None:
    async with connected(worker.url) as viewer:
        await viewer.say(**(GOOD | {"num_blocks": 10**6, "fps": 100}))
        await viewer.frame()
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await viewer.say(image=bytes(17 * 2**20))
            await viewer.end()
            raise viewer.socket.protocol.close_exc
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1009


async def test_a_blocking_client_gets_to_see_1009_as_well(worker: Running) -> None:
    """It reads while it sends, or not at all: a reset would take the close code from it."""

    def send_too_much() -> int | None:
        with (
            websockets.sync.client.connect(worker.url, compression=None, proxy=None) as socket,
            pytest.raises(websockets.ConnectionClosedError) as closed,
        ):
            socket.recv()
            socket.send(msgpack.packb({"image": bytes(17 * 2**20)}))
            socket.recv()
        return closed.value.rcvd and closed.value.rcvd.code

    codes = await asyncio.gather(*(asyncio.to_thread(send_too_much) for _ in range(6)))
    assert codes == [1009] * 6


async def test_almost_sixteen_mebibytes_are_read_and_judged(worker: Running) -> None:
    async with connected(worker.url) as viewer:
        await viewer.say(**(GOOD | {"start_frame": bytes(16 * 2**20 - 300)}))
        assert (await viewer.next())["error"][0]["loc"] == ["start_frame"]
        await still_open(viewer)


async def test_twenty_in_a_row_close_the_socket_and_a_stream_in_between_forgives(
    worker: Running,
) -> None:
    async with connected(worker.url) as viewer:
        for _ in range(19):
            await viewer.say_raw("text")
            assert (await viewer.next())["error"] == "BAD_MESSAGE"
        await still_open(viewer)
        for _ in range(20):
            await viewer.say(prompt="")
        received = await viewer.end()
        assert len(received.texts) == 20 and received.last.code == 1008


async def test_bad_pictures_in_live_input_do_not_end_the_stream(worker: Running) -> None:
    bad = [
        b"none",
        png_of_size(4_000, 2_501),
        webp_of_size(6_000, 6_000),
        jpeg_of_scans(17),
        colour((1, 1, 1))[:200],
        b"GIF89a\1\0\1\0",
    ]
    async with connected(worker.url + "?fmt=msgpack") as viewer:
        await viewer.say(**(GOOD | {"webcam_mode": True, "input": "all"}))
        for number in range(6):
            await viewer.say(image=bad[number % len(bad)])
            await viewer.say(image=colour((0, 255, 0)), request_id=f"{number}")
        received = await viewer.stream()
        assert len(received.frames) == 6
        assert not any("error" in text for text in received.texts)
