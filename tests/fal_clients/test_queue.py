"""fal's Python client, blocking and async: what goes through the queue."""

import asyncio
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import fal_client
import httpx
import pytest
from PIL import Image
from support.engines.scripted_backend import ScriptedBackend
from support.fal_py import Fal, Kind, fal_py
from support.servers.worker_server import PATIENCE, Running, serving
from support.video_files_made import data_url, seen, video

from framewire.worker.testing.running import running_worker

APP = "fal-ai/krea-wan-14b"
TEXT = f"{APP}/text-to-video"
SMALL = {"prompt": "a fox", "num_frames": 18, "width": 128, "height": 64, "seed": 7}
BOTH = pytest.mark.parametrize("kind", ["sync", "async"])


class Held(ScriptedBackend):
    """Makes no second block before it is let."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.lane[1] = lambda: self.go_on.wait(PATIENCE) and None


async def frames_of(answer: Any) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        return len(seen((await http.get(answer["video"]["url"])).content).frames)


async def until(fal: Fal, handle: Any, kind: type[fal_client.Status]) -> fal_client.Status:
    async with asyncio.timeout(PATIENCE):
        while True:
            status: fal_client.Status = await fal.of(handle, "status", with_logs=True)
            if isinstance(status, kind):
                return status


@pytest.fixture
async def worker() -> AsyncIterator[Running]:
    async with serving() as running:
        yield running


@BOTH
async def test_subscribe_sees_the_log_and_returns_the_clip(worker: Running, kind: Kind) -> None:
    updates: list[fal_client.Status] = []
    enqueued: list[str] = []
    async with fal_py(kind, worker.http) as fal:
        answer = await fal.call(
            "subscribe",
            TEXT,
            SMALL,
            with_logs=True,
            on_enqueue=enqueued.append,
            on_queue_update=updates.append,
            hint="a runner",
            priority="low",
        )
    assert answer["seed"] == 7 and await frames_of(answer) == 18
    last = updates[-1]
    assert isinstance(last, fal_client.Completed) and last.error is None
    assert last.metrics["inference_time"] > 0 and last.logs is not None
    said = [line["message"] for line in last.logs]
    assert said[0] == "started: 128x64, seed 7" and "block 2: 18 of 18 frames" in said
    assert {line["source"] for line in last.logs} == {"USER"} and len(enqueued) == 1


@BOTH
@pytest.mark.parametrize("endpoint", ["image-to-video", "video-to-video"])
async def test_every_endpoint_has_its_queue(worker: Running, kind: Kind, endpoint: str) -> None:
    source = data_url(video([(0, 99, 0)] * 18))
    key = endpoint.split("-")[0]
    picture = "data:image/png;base64," + PNG
    arguments = SMALL | {f"{key}_url": source if key == "video" else picture}
    async with fal_py(kind, worker.http) as fal:
        answer = await fal.call("subscribe", APP, arguments, path=endpoint)
    assert await frames_of(answer) == 18


@pytest.mark.filterwarnings("ignore::ResourceWarning")  # the SDK leaves its upload's socket open
@BOTH
async def test_what_was_uploaded_is_the_input_of_a_job(worker: Running, kind: Kind) -> None:
    """As the SDK's own automatic uploads send it: by the URL that the worker answered."""
    async with fal_py(kind, worker.http) as fal:
        picture = await fal.call("upload_image", Image.new("RGB", (128, 64), (200, 20, 20)))
        answer = await fal.call(
            "subscribe", APP, SMALL | {"image_url": picture}, path="image-to-video"
        )
    assert picture.startswith(worker.http) and await frames_of(answer) == 18


PROGRAM = """
import fal_client
handle = fal_client.submit("fal-ai/krea-wan-14b/text-to-video", {arguments!r})
print(handle.status_url)
print(fal_client.result("fal-ai/krea-wan-14b/text-to-video", handle.request_id)["seed"])
"""


async def test_the_environment_alone_leads_a_program_to_the_queue() -> None:
    """Over TLS, with nothing of the package changed: FAL_QUEUE_RUN_HOST=HOST:PORT/queue."""
    with running_worker(tls=True) as worker:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM.format(arguments=SMALL)),
            stdout=asyncio.subprocess.PIPE,
            env={"PYTHONPATH": ":".join(filter(None, sys.path)), **worker.env},
        )
        out, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
        host = worker.env["FAL_QUEUE_RUN_HOST"]
    url, seed = out.decode().split()
    assert host.endswith("/queue") and seed == "7"
    assert url.startswith(f"https://{host}/fal-ai/krea-wan-14b/requests/")


@BOTH
async def test_a_job_is_followed_from_its_place_in_the_line_to_its_result(kind: Kind) -> None:
    """By the handle that submitted it and by one that knows its id alone."""
    backend = Held()
    async with serving(backend, max_sessions=1) as worker, fal_py(kind, worker.http) as fal:
        handles = [await fal.call("submit", TEXT, SMALL | {"seed": seed}) for seed in (1, 2, 3)]
        status = await until(fal, handles[0], fal_client.InProgress)
        assert isinstance(status, fal_client.InProgress) and status.logs
        assert await fal.of(handles[1], "status") == fal_client.Queued(position=0)
        assert await fal.of(handles[2], "status") == fal_client.Queued(position=1)
        with pytest.raises(fal_client.FalClientHTTPError, match="still in progress") as early:
            async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
                raise_as_fal(await http.get(handles[0].response_url))
        assert early.value.status_code == 400
        backend.go_on.set()
        for seed, handle in enumerate(handles, 1):
            assert (await fal.of(handle, "get"))["seed"] == seed
            known = await fal.call("result", TEXT, handle.request_id)
            assert known["seed"] == seed
        status = await fal.call("status", TEXT, handles[2].request_id)
        assert isinstance(status, fal_client.Completed) and status.logs is None
    assert [each.settings.seed for each in backend.sessions] == [1, 2, 3]


def raise_as_fal(response: httpx.Response) -> None:
    fal_client.client._raise_for_status(response)


@BOTH
async def test_a_job_is_cancelled_in_the_line_and_while_it_is_made(kind: Kind) -> None:
    backend = Held()
    async with serving(backend, max_sessions=1) as worker, fal_py(kind, worker.http) as fal:
        first, second, third = [await fal.call("submit", TEXT, SMALL) for _ in range(3)]
        await until(fal, first, fal_client.InProgress)
        await fal.of(second, "cancel")
        await fal.of(first, "cancel")
        assert await fal.of(third, "status") == fal_client.Queued(position=0)
        backend.go_on.set()
        for handle in (first, second):
            done = await until(fal, handle, fal_client.Completed)
            assert isinstance(done, fal_client.Completed)
            assert done.error == "the request was cancelled"
            assert done.error_type == "client_cancelled"
            with pytest.raises(fal_client.FalClientHTTPError, match="was cancelled") as cancelled:
                await fal.of(handle, "get")
            assert cancelled.value.status_code == 499
        assert await frames_of(await fal.of(third, "get")) == 18
        with pytest.raises(fal_client.FalClientHTTPError, match="has ended already") as late:
            await fal.call("cancel", TEXT, third.request_id)
        assert late.value.status_code == 400
    assert len(backend.sessions) == 2 and all(each.closed for each in backend.sessions)


@BOTH
async def test_what_is_wrong_with_a_job_is_the_clients_own_error(
    worker: Running, kind: Kind
) -> None:
    async with fal_py(kind, worker.http) as fal:
        for wrong, word in (({"num_frames": 17}, "6 + 12k"), ({"prompt": " "}, "prompt")):
            handle = await fal.call("submit", TEXT, SMALL | wrong)
            with pytest.raises(fal_client.FalClientHTTPError) as refused:
                await fal.of(handle, "get")
            assert refused.value.status_code == 422 and word in str(refused.value)
            status = await fal.of(handle, "status")
            assert isinstance(status, fal_client.Completed) and word in (status.error or "")
        arguments = SMALL | {"video_url": "data:video/mp4;base64,AAAA"}
        with pytest.raises(fal_client.FalClientHTTPError, match="video_url"):
            await fal.call("subscribe", APP, arguments, path="video-to-video")
        with pytest.raises(fal_client.FalClientHTTPError, match="calls no webhooks") as hook:
            await fal.call("submit", TEXT, SMALL, webhook_url="https://example.com/hook")
        assert hook.value.status_code == 422
        with pytest.raises(fal_client.FalClientHTTPError, match="this worker serves"):
            await fal.call("submit", "fal-ai/flux/text-to-video", SMALL)
        with pytest.raises(fal_client.FalClientHTTPError, match="POST to /queue/OWNER/krea"):
            await fal.call("submit", APP, SMALL)
        for method in ("result", "status", "cancel"):
            with pytest.raises(fal_client.FalClientHTTPError, match="no such request") as unknown:
                await fal.call(method, TEXT, "vm-0123456789")
            assert unknown.value.status_code == 404


@BOTH
async def test_a_start_timeout_is_kept(kind: Kind) -> None:
    """A job that was still waiting is not begun; its caller's own time-out is not tried again."""
    backend = Held()
    async with serving(backend, max_sessions=1) as worker, fal_py(kind, worker.http) as fal:
        first = await fal.call("submit", TEXT, SMALL)
        await until(fal, first, fal_client.InProgress)
        with pytest.raises(
            fal_client.FalClientHTTPError, match=r"did not start within 1\.5 s"
        ) as late:
            await fal.call("subscribe", TEXT, SMALL, start_timeout=1.5)
        assert late.value.status_code == 504
        backend.go_on.set()
        assert await frames_of(await fal.of(first, "get")) == 18
    assert len(backend.sessions) == 1


@BOTH
async def test_a_key_is_asked_for(kind: Kind) -> None:
    """FRAMEWIRE_KEY alone will do; a handle of one key's caller is none without it."""
    async with serving(auth="jwt", key="id:secret") as worker:
        async with fal_py(kind, worker.http, key="id:secret") as fal:
            handle = await fal.call("submit", TEXT, SMALL)
            assert await frames_of(await fal.of(handle, "get")) == 18
        async with fal_py(kind, worker.http, key="id:wrong") as fal:
            with pytest.raises(fal_client.FalClientHTTPError) as refused:
                await fal.call("submit", TEXT, SMALL)
            assert refused.value.status_code == 401
            for method in ("result", "status", "cancel"):
                with pytest.raises(fal_client.FalClientHTTPError) as refused:
                    await fal.call(method, TEXT, handle.request_id)
                assert refused.value.status_code == 401


@BOTH
async def test_stream_yields_progress_and_then_the_clip(worker: Running, kind: Kind) -> None:
    async with fal_py(kind, worker.http) as fal:
        *told, answer = await fal.all_of("stream", TEXT, SMALL)
    assert [each["frames"] for each in told] == [6, 18]
    assert await frames_of(answer) == 18


PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
