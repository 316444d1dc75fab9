"""Pictures and videos that cost whoever decodes them much: the sender pays, nobody else.

A real worker, hostile input, and beside it a seeded stream that is to the byte what it is alone.
"""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import msgpack
import pytest
import pytest_asyncio
from support import hostile_pictures as hostile
from support.hostile_videos import crowded_video
from support.servers.watched_worker import Watched, watched
from support.servers.worker_server import PATIENCE
from support.video_files_made import data_url
from support.viewers.bad_peers import TINY
from support.viewers.raw_viewer import RawViewer, colour, connected

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]

MEMORY = 120_000_000
"""Bytes by which the worker may have grown at most, at its worst moment."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[Watched]:
    async with watched("--max-sessions", "8") as running:
        await streamed(running.url)
        yield running


async def streamed(url: str) -> list[bytes]:
    async with connected(url) as viewer:
        await viewer.say(prompt="good", seed=7, num_blocks=4, **TINY)
        return (await viewer.stream()).frames


def peak(worker: Watched) -> int:
    """Bytes that the worker has had at its worst, itself alone."""
    status = Path(f"/proc/{worker.worker.process.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def children(worker: Watched) -> list[str]:
    tasks = Path(f"/proc/{worker.worker.process.pid}/task")
    return " ".join(path.read_text() for path in tasks.glob("*/children")).split()


async def until_there_are(count: int, worker: Watched) -> None:
    async with asyncio.timeout(PATIENCE):
        while len(children(worker)) != count:  # noqa: ASYNC110 nothing tells of another's children
            await asyncio.sleep(0.02)


async def start(viewer: RawViewer, **params: Any) -> None:
    await viewer.say(**({"prompt": "bad", "num_blocks": 1, "events": True} | TINY | params))


LIVE: dict[str, Callable[[], bytes]] = {
    "a PNG of 10 MP": lambda: hostile.png_of_size(4_000, 2_500, rows=2_500),
    "a JPEG of 16 scans": lambda: hostile.jpeg_of_scans(16, (2_000, 1_000)),
    "a JPEG of 200 scans": lambda: hostile.jpeg_of_scans(200, (2_000, 1_000)),
    "a JPEG of 4 gigapixels": lambda: hostile.jpeg_of_size(65_535, 65_535),
    "a WebP of 36 MP": lambda: hostile.webp_of_size(6_000, 6_000),
    "a PNG of 36 MP": lambda: hostile.png_of_size(6_000, 6_000, rows=1),
}


@pytest.mark.parametrize("name", LIVE)
async def test_live_pictures_that_cost_much_cost_their_sender_alone(
    worker: Watched, name: str
) -> None:
    picture = LIVE[name]()
    solo, before = await streamed(worker.url), peak(worker)
    async with connected(worker.url) as viewer:
        await start(viewer, webcam_mode=True, input="all")
        await viewer.event("started")
        for _ in range(4):
            await viewer.say(image=picture)
        assert await streamed(worker.url) == solo
        await viewer.say(image=hostile.png_of_size(64, 64, rows=64))
        await viewer.say(action="end")
        received = await viewer.stream()
        assert len(received.frames) == 6
        refused = name not in ("a PNG of 10 MP", "a JPEG of 16 scans")
        assert len(received.of("warning")) == (4 if refused else 0)
    assert await streamed(worker.url) == solo
    assert peak(worker) < before + (MEMORY if refused else 2 * MEMORY)


START_FRAMES: dict[str, Callable[[], bytes]] = {
    "a JPEG of 40 MP and 64 scans": lambda: hostile.jpeg_of_scans(64, (8_000, 5_000)),
    "a JPEG of 40 MP and 200 scans": lambda: hostile.jpeg_of_scans(200, (8_000, 5_000)),
    "a WebP of 49 MP": lambda: hostile.webp_of_size(7_000, 7_000),
    "a GIF of 4 gigapixels": lambda: hostile.gif_of_size(65_535, 65_535),
}


@pytest.mark.parametrize("name", START_FRAMES)
async def test_start_frames_that_cost_much_cost_their_sender_alone(
    worker: Watched, name: str
) -> None:
    """One that is within its bounds, but large, is decoded in a process that ends with it."""
    picture = START_FRAMES[name]()
    solo, before = await streamed(worker.url), peak(worker)
    async with connected(worker.url) as viewer:
        await start(viewer, start_frame=picture)
        assert await streamed(worker.url) == solo
        answer = await viewer.next()
        if name == "a JPEG of 40 MP and 64 scans":
            assert answer["type"] == "queued" or answer["type"] == "started"
            assert len((await viewer.stream()).frames) == 6
        else:
            assert answer["error"][0]["loc"] == ["start_frame"]
    await until_there_are(0, worker)
    assert peak(worker) < before + MEMORY


async def test_who_leaves_takes_its_large_start_frame_along(worker: Watched) -> None:
    picture = START_FRAMES["a JPEG of 40 MP and 64 scans"]()
    async with connected(worker.url) as viewer:
        await start(viewer, start_frame=picture)
        await until_there_are(1, worker)
    await until_there_are(0, worker)


async def test_pictures_that_wait_for_a_place_are_few_however_many_are_sent() -> None:
    """Twenty of 15 MB from each of four viewers, of which the worker reads on only as it may."""
    async with watched("--max-sessions", "1", "--queue", "8") as worker:
        solo, before = await streamed(worker.url), peak(worker)
        async with AsyncExitStack() as stack:
            first = await stack.enter_async_context(connected(worker.url))
            await start(first, num_blocks=10**6, fps=20)
            await first.frame()
            for _ in range(4):
                viewer = await stack.enter_async_context(connected(worker.url, ping_interval=None))
                await start(viewer, webcam_mode=True, input="all")
                await viewer.event("queued")
                data = msgpack.packb({"image": colour((9, 9, 9)) + bytes(15_000_000)})
                stack.push_async_callback(ended, asyncio.create_task(pushed(viewer, data)))
            await first.frame(60)
            for _ in range(20):
                assert peak(worker) < before + 4 * 7 * 16_000_000
                await first.frame(2)
            first.socket.transport.abort()
        async with asyncio.timeout(PATIENCE):
            while (await worker.health())["connections"]:  # noqa: ASYNC110
                await asyncio.sleep(0.05)
        assert await streamed(worker.url) == solo


async def pushed(viewer: RawViewer, data: bytes) -> None:
    for _ in range(20):
        await viewer.socket.send(data)


async def ended(task: "asyncio.Task[None]") -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def upload(worker: Watched, data: bytes) -> httpx.Response:
    body = {"prompt": "bad", "num_frames": 18, "video_url": data_url(data)} | TINY
    async with httpx.AsyncClient(trust_env=False, timeout=120) as client:
        return await client.post(f"{worker.worker.http}/video-to-video", json=body)


async def test_a_gif_of_35_bytes_is_refused_by_its_screen(worker: Watched) -> None:
    solo, before = await streamed(worker.url), peak(worker)
    data = hostile.gif_of_size(16_000, 16_000)
    assert len(data) <= 36
    answers = await asyncio.gather(*(upload(worker, data) for _ in range(4)), streamed(worker.url))
    assert answers.pop() == solo
    for answer in answers:
        assert answer.status_code == 422
        assert "16000x16000; at most 10 megapixels" in answer.json()["detail"][0]["msg"]
    assert peak(worker) < before + MEMORY


async def test_an_upload_freezes_nobody_and_ends_with_its_caller(worker: Watched) -> None:
    """It is read by a process of its own, with the streams going on meanwhile."""
    solo, video = await streamed(worker.url), crowded_video(600)
    uploading = asyncio.create_task(upload(worker, video))
    await until_there_are(1, worker)
    for _ in range(3):
        assert await streamed(worker.url) == solo
    assert not uploading.done()
    uploading.cancel()
    await asyncio.gather(uploading, return_exceptions=True)
    await until_there_are(0, worker)
    async with asyncio.timeout(PATIENCE):
        while (await worker.health())["sessions"]:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_a_drain_waits_for_no_upload_and_no_large_start_frame() -> None:
    picture, video = START_FRAMES["a JPEG of 40 MP and 64 scans"](), crowded_video(600)
    async with (
        watched("--max-sessions", "4", "--grace", "600") as worker,
        connected(worker.url) as viewer,
    ):
        await start(viewer, start_frame=picture)
        uploading = asyncio.create_task(upload(worker, video))
        await until_there_are(2, worker)
        worker.worker.signal(signal.SIGTERM)
        assert (await viewer.end()).last.code == 1012
        answer = await uploading
        assert answer.status_code == 503, answer.text
        assert await worker.worker.exit_code() == 0, "long before its grace runs out"
