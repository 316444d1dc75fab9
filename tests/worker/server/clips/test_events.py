"""`POST …/stream`: progress and then the answer as server-sent events; a failure is never a result."""

import asyncio
import json
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
from support.engines.scripted_backend import ScriptedBackend
from support.servers.worker_server import PATIENCE, Running, serving
from support.video_files_made import data_url, seen, video

from framewire.worker.server.clips import events

SMALL = {"prompt": "a red circle", "width": 128, "height": 64, "num_frames": 30, "seed": 7}


@asynccontextmanager
async def streamed(worker: Running, path: str, **body: Any) -> AsyncIterator[httpx.Response]:
    async with (
        httpx.AsyncClient(timeout=PATIENCE, verify=False) as client,
        client.stream("POST", worker.http + path, json=SMALL | body) as response,
    ):
        yield response


async def events_of(response: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    async for line in response.aiter_lines():
        if line.startswith("data: "):
            yield json.loads(line.removeprefix("data: "))


@pytest.mark.parametrize("prefix", ["", "/fal-ai/krea-wan-14b"])
async def test_every_block_is_told_and_the_last_event_is_the_answer(prefix: str) -> None:
    async with serving() as worker:
        async with streamed(worker, f"{prefix}/text-to-video/stream") as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            assert response.headers["x-fal-request-id"]
            *told, answer = [each async for each in events_of(response)]
        async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
            file = (await client.get(answer["video"]["url"])).content
    assert [(each["block"], each["frames"], each["num_frames"]) for each in told] == [
        (1, 6, 30),
        (2, 18, 30),
        (3, 30, 30),
    ]
    assert [each["progress"] for each in told] == [0.2, 0.6, 1.0]
    assert answer.keys() == {"video", "seed"} and answer["seed"] == told[0]["seed"] == 7
    assert len(seen(file).frames) == 30


async def test_a_clip_as_long_as_its_video_has_no_share_to_tell() -> None:
    async with serving() as worker:
        source = data_url(video([(0, 99, 0)] * 20))
        body = {"video_url": source, "num_frames": None}
        async with streamed(worker, "/video-to-video/stream", **body) as response:
            *told, answer = [each async for each in events_of(response)]
    assert {(each["progress"], each["num_frames"]) for each in told} == {(None, None)}
    assert "video" in answer


async def test_what_fails_before_the_first_block_is_an_http_error() -> None:
    backend = ScriptedBackend()

    def fail() -> None:
        raise RuntimeError("broken")

    async with serving(backend) as worker:
        async with streamed(worker, "/text-to-video/stream", num_frames=17) as response:
            assert response.status_code == 422
            await response.aread()
            assert response.json()["detail"][0]["loc"] == ["body", "num_frames"]
        async with streamed(worker, "/fal-ai/other/text-to-video/stream") as response:
            assert response.status_code == 404
        backend.lane[0] = fail
        async with streamed(worker, "/text-to-video/stream") as response:
            assert response.status_code == 500


@pytest.mark.parametrize("drains", [False, True])
async def test_a_later_failure_is_said_and_breaks_the_stream_off(
    drains: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """No client can take it for the result: the response is never completed."""
    backend = ScriptedBackend()
    go_on = threading.Event()

    def fail() -> None:
        go_on.wait(PATIENCE)
        if not drains:
            raise RuntimeError("broken")

    backend.lane[1] = fail
    async with serving(backend) as worker:
        told = []
        with pytest.raises(httpx.RemoteProtocolError):
            async with streamed(worker, "/text-to-video/stream") as response:
                async for each in events_of(response):
                    told.append(each)
                    if drains and not go_on.is_set():
                        worker.inside.begin_drain()
                        await worker.inside.draining.wait()
                    go_on.set()
    first, *_, last = told
    assert first["block"] == 1
    assert last["status"] == (503 if drains else 500) and last["detail"]
    assert "video" not in last
    assert ("broken" in caplog.text) is not drains, "only what is nobody's fault is logged"
    assert "without completing" not in caplog.text


async def test_a_reader_who_leaves_costs_no_more_blocks() -> None:
    backend = ScriptedBackend()
    go_on = threading.Event()
    backend.lane[1] = lambda: bool(go_on.wait(PATIENCE)) and None
    async with serving(backend) as worker:
        async with streamed(worker, "/text-to-video/stream") as response:
            assert [await anext(events_of(response))][0]["block"] == 1
        async with asyncio.timeout(PATIENCE):
            while worker.server.server_state.connections:  # noqa: ASYNC110 (it tells nobody)
                await asyncio.sleep(0)
        go_on.set()
        await asyncio.wait(worker.inside.connections, timeout=PATIENCE)
        clips = worker.server.config.app.state.clips
        assert list(clips.new_path().parent.iterdir()) == []
    assert backend.sessions[0].block <= 2 and backend.sessions[0].closed


async def test_a_stream_with_nothing_to_say_shows_that_it_lives(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    backend = ScriptedBackend()
    go_on = threading.Event()
    backend.lane[1] = lambda: bool(go_on.wait(PATIENCE)) and None
    monkeypatch.setattr(events, "ALIVE_SECONDS", 0.01)
    async with (
        serving(backend) as worker,
        streamed(worker, "/text-to-video/stream") as response,
    ):
        async with asyncio.timeout(PATIENCE):
            lines = response.aiter_lines()
            while not (await anext(lines)).startswith(": "):
                pass
        go_on.set()
        said = [line async for line in lines if line.startswith("data: ")]
    assert "video" in json.loads(said[-1].removeprefix("data: "))
