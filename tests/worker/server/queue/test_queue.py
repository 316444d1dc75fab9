"""fal's queue over plain HTTP: what its clients read, its bounds, and a thousand jobs."""

import asyncio
import base64
import json
import re
import threading
from collections.abc import AsyncIterator
from typing import Any, Literal

import httpx
import pytest
from support.engines.scripted_backend import Gate, ScriptedBackend
from support.servers.mortal_worker import held
from support.servers.worker_server import PATIENCE, Running, serving
from support.viewers.raw_viewer import connected

from framewire.worker.server.queue import runner

SMALL: dict[str, Any] = {"prompt": "a fox", "num_frames": 18, "width": 64, "height": 64, "seed": 7}
QUEUE = "/queue/fal-ai/krea-wan-14b"
FORWARDED = {"X-Forwarded-For": "192.0.2.7"}


class Held(ScriptedBackend):
    """Makes no second block before it is let; the first is reached when `reached` is set.

    Args:
        where: what waits; while the `lane` does, no other session can begin.
    """

    def __init__(self, where: Literal["lane", "finish"] = "lane") -> None:
        super().__init__(frames=9)
        self.go_on, self.reached = threading.Event(), threading.Event()

        def hold() -> None:
            self.reached.set()
            self.go_on.wait(PATIENCE)

        getattr(self, where)[1] = hold


@pytest.fixture
async def http() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False, verify=False) as client:
        yield client


async def submitted(
    http: httpx.AsyncClient, worker: Running, headers: Any = None, **body: Any
) -> dict[str, Any]:
    url = f"{worker.http}{QUEUE}/text-to-video"
    answer = await http.post(url, json=SMALL | body, headers=headers)
    assert answer.status_code == 200, answer.text
    said: dict[str, Any] = answer.json()
    return said


async def completed(
    http: httpx.AsyncClient, said: dict[str, Any], patience: float = PATIENCE
) -> dict[str, Any]:
    """Waits by the stream of its statuses: asking again and again takes the worker's own time."""
    async with asyncio.timeout(patience):
        async with http.stream("GET", f"{said['status_url']}/stream") as response:
            async for _ in response.aiter_lines():
                pass
        answer = await http.get(said["status_url"])
    assert answer.status_code != 202
    status: dict[str, Any] = answer.json()
    return status


async def test_what_is_answered_has_the_shapes_of_fals(http: httpx.AsyncClient) -> None:
    backend = Held()
    async with serving(backend, name="gpu 3", max_sessions=1) as worker:
        first = await submitted(http, worker)
        second = await submitted(http, worker)
        id, base = first["request_id"], f"{worker.http}{QUEUE}/requests"
        assert re.fullmatch(r"gpu-3-[0-9a-f]{48}", id)
        assert first | {"queue_position": 0} == {
            "status": "IN_QUEUE",
            "request_id": id,
            "response_url": f"{base}/{id}",
            "status_url": f"{base}/{id}/status",
            "cancel_url": f"{base}/{id}/cancel",
            "queue_position": 0,
        }
        await asyncio.to_thread(backend.reached.wait, PATIENCE)
        waits = await http.get(second["status_url"])
        assert waits.status_code == 202 and waits.headers["x-fal-request-id"]
        assert waits.json()["status"] == "IN_QUEUE" and waits.json()["queue_position"] == 0
        runs = await http.get(first["status_url"], params={"logs": "1"})
        assert (runs.status_code, runs.json()["status"]) == (202, "IN_PROGRESS")
        assert runs.json()["logs"][0].keys() == {"message", "level", "source", "timestamp"}
        early = await http.get(first["response_url"])
        assert early.status_code == 400 and "in progress" in early.json()["detail"]
        backend.go_on.set()
        done = await completed(http, first)
        assert done["metrics"]["inference_time"] > 0 and done["logs"] is None
        result = await http.get(first["response_url"])
        assert result.headers["x-fal-request-id"] == id
        assert result.json().keys() == {"video", "seed"}


async def test_the_event_stream_of_statuses_ends_with_completed_and_repeats_no_line(
    http: httpx.AsyncClient,
) -> None:
    """fal's JavaScript client adds up the lines of all events."""
    backend = Held()
    async with serving(backend, max_sessions=1) as worker:
        await submitted(http, worker)
        said = await submitted(http, worker)
        url = f"{said['status_url']}/stream"
        told: list[dict[str, Any]] = []
        async with http.stream("GET", url, params={"logs": "1"}) as response:
            assert response.headers["content-type"].startswith("text/event-stream")
            async for line in response.aiter_lines():
                if line.startswith("data: "):
                    told.append(json.loads(line.removeprefix("data: ")))
                    backend.go_on.set()
        statuses = list(dict.fromkeys(each["status"] for each in told))
        assert statuses[0] == "IN_QUEUE" and statuses[-1] == "COMPLETED"
        lines = [line["message"] for each in told for line in each.get("logs") or ()]
        assert lines[0].startswith("started: ") and lines[-1].startswith("done in ")
        assert len(lines) == len(set(lines)) == 4
        async with http.stream("GET", url) as response:
            (only,) = [line async for line in response.aiter_lines() if line]
        assert json.loads(only.removeprefix("data: "))["logs"] is None


async def test_the_event_stream_breaks_off_where_the_worker_shuts_down(
    http: httpx.AsyncClient,
) -> None:
    """The job has not ended, and no client may take the last event for its end."""
    backend = Held()
    async with serving(backend, max_sessions=1) as worker:
        said = await submitted(http, worker)
        with pytest.raises(httpx.RemoteProtocolError):
            async with http.stream("GET", f"{said['status_url']}/stream") as response:
                async for _ in response.aiter_lines():
                    worker.inside.begin_drain()
                    backend.go_on.set()
        url = f"{worker.http}{QUEUE}/text-to-video"
        late = await http.post(url, json=SMALL)
        assert late.status_code == 503 and "shutting down" in late.json()["detail"]


async def test_a_request_that_cannot_be_kept_is_507_and_takes_no_room(
    http: httpx.AsyncClient,
) -> None:
    async with serving(jobs=1) as worker:
        folder = worker.server.config.app.state.folder.path / "jobs"
        (folder / "bodies").rename(folder / "elsewhere")
        url = f"{worker.http}{QUEUE}/text-to-video"
        for _ in range(3):
            answer = await http.post(url, json=SMALL)
            assert answer.status_code == 507
            assert "cannot be kept: No such file" in answer.json()["detail"]
        (folder / "elsewhere").rename(folder / "bodies")
        assert "error" not in await completed(http, await submitted(http, worker))


async def test_a_caller_who_leaves_before_its_body_has_come_leaves_no_job() -> None:
    async with serving(jobs=1) as worker:
        for _ in range(3):
            reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
            head = f"POST {QUEUE}/text-to-video HTTP/1.1\r\nHost: localhost\r\n"
            writer.write(f'{head}Content-Length: 1000\r\n\r\n{{"prompt": '.encode())
            await writer.drain()
            folder = worker.server.config.app.state.folder.path / "jobs" / "bodies"
            async with asyncio.timeout(PATIENCE):
                while not any(folder.iterdir()):  # noqa: ASYNC110 (a folder tells nobody)
                    await asyncio.sleep(0)
                writer.close()
                while any(folder.iterdir()):  # noqa: ASYNC110
                    await asyncio.sleep(0)
            del reader
        async with httpx.AsyncClient(timeout=PATIENCE, trust_env=False) as http:
            assert "error" not in await completed(http, await submitted(http, worker))


@pytest.mark.timeout(300)
async def test_a_thousand_jobs_keep_their_order_and_no_memory(http: httpx.AsyncClient) -> None:
    """Each with a body of 50 kB; every third is cancelled while it waits."""
    backend = Held()
    async with serving(backend, max_sessions=1) as worker:
        await submitted(http, worker)
        await asyncio.to_thread(backend.reached.wait, PATIENCE)
        before = held().rss
        padding = "x" * 50_000
        said = [await submitted(http, worker, seed=at, padding=padding) for at in range(1000)]
        assert held().rss - before < 30_000_000, "50 MB of bodies wait"
        places = [each["queue_position"] for each in said]
        assert places == list(range(1000))
        for each in said[::3]:
            answer = await http.put(each["cancel_url"])
            assert (answer.status_code, answer.json()["status"]) == (202, "CANCELLATION_REQUESTED")
        last = (await http.get(said[-2]["status_url"])).json()
        assert last["queue_position"] == sum(at % 3 != 0 for at in range(998))
        backend.go_on.set()
        await completed(http, said[-2], 240)
        assert (await http.get(said[1]["response_url"])).json()["seed"] == 1
        assert (await http.get(said[0]["response_url"])).status_code == 499
        metrics = (await http.get(worker.http + "/metrics")).text
    made = [session.settings.seed for session in backend.sessions[1:]]
    assert made == [at for at in range(1000) if at % 3]
    assert 'framewire_jobs_ended_total{how="done"} 667.0' in metrics
    assert 'framewire_jobs_ended_total{how="cancelled"} 334.0' in metrics
    assert "framewire_jobs_queued 0.0" in metrics and "framewire_jobs_running 0.0" in metrics


async def test_jobs_beyond_the_bounds_are_refused_in_words(http: httpx.AsyncClient) -> None:
    """Of all, and of one address; those that wait lose nothing by it, and one that ends makes room."""
    backend = Held()
    limits = {"jobs": 2, "caller_jobs": 2, "max_sessions": 1}
    async with serving(backend, **limits) as worker:
        first = await submitted(http, worker, FORWARDED)
        await asyncio.to_thread(backend.reached.wait, PATIENCE)  # it waits no more
        second = await submitted(http, worker, FORWARDED)
        url = f"{worker.http}{QUEUE}/text-to-video"
        own = await http.post(url, json=SMALL, headers=FORWARDED)
        assert own.status_code == 429 and own.headers["retry-after"]
        assert "2 requests of your address" in own.json()["detail"]
        await submitted(http, worker, {"X-Forwarded-For": "192.0.2.8"})
        full = await http.post(url, json=SMALL)
        assert full.status_code == 429 and "2 requests are in the queue" in full.json()["detail"]
        metrics = (await http.get(worker.http + "/metrics")).text
        assert 'framewire_refusals_total{reason="jobs"} 2.0' in metrics
        backend.go_on.set()
        for each in (first, second):
            assert "error" not in await completed(http, each)
        await submitted(http, worker, FORWARDED)


async def test_a_worker_may_have_no_queue(http: httpx.AsyncClient) -> None:
    async with serving(jobs=0) as worker:
        answer = await http.post(f"{worker.http}{QUEUE}/text-to-video", json=SMALL)
    assert answer.status_code == 429 and "no queue" in answer.json()["detail"]


async def test_bodies_are_bounded_each_and_together(http: httpx.AsyncClient) -> None:
    backend = Held()
    async with serving(backend, video_megabytes=1, job_megabytes=2, max_sessions=1) as worker:
        text, clip = (f"{worker.http}{QUEUE}/{kind}-to-video" for kind in ("text", "video"))
        large = await http.post(text, json=SMALL | {"padding": "x" * 200_000})
        assert large.status_code == 413
        await submitted(http, worker)
        await asyncio.to_thread(backend.reached.wait, PATIENCE)
        body = SMALL | {"video_url": "data:;base64," + base64.b64encode(b"x" * 900_000).decode()}
        assert (await http.post(clip, json=body)).status_code == 200
        full = await http.post(clip, json=body)
        assert full.status_code == 429 and "2 MB of requests wait already" in full.text
        backend.go_on.set()
        folder = worker.server.config.app.state.folder.path / "jobs" / "bodies"
        async with asyncio.timeout(PATIENCE):
            while any(folder.iterdir()):
                await http.get(f"{worker.http}/health")


async def test_a_body_that_is_no_json_ends_as_any_wrong_one(http: httpx.AsyncClient) -> None:
    async with serving() as worker:
        answer = await http.post(f"{worker.http}{QUEUE}/text-to-video", content=b"\xff{")
        status = await completed(http, answer.json())
        assert "Invalid JSON" in status["error"]
        assert (await http.get(answer.json()["response_url"])).status_code == 422


async def test_jobs_leave_places_to_viewers_and_wait_for_one(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With every place taken, and the line of those who wait full as well, a job is only later."""
    monkeypatch.setattr(runner, "RETRY_SECONDS", 0.05)
    async with serving(max_sessions=1, queue=0) as worker:
        async with connected(worker.url) as viewer:
            await viewer.say(**SMALL, num_blocks=1000, fps=50)
            await viewer.frame()
            said = await submitted(http, worker)
            status = (await http.get(said["status_url"])).json()
            assert status["status"] == "IN_QUEUE"
        assert "error" not in await completed(http, said)


async def test_no_more_than_half_the_places_are_for_jobs(http: httpx.AsyncClient) -> None:
    backend = Held("finish")
    async with serving(backend, max_sessions=4, codec_threads=2) as worker:
        said = [await submitted(http, worker) for _ in range(3)]
        states: list[str] = []
        async with asyncio.timeout(PATIENCE):
            while states != ["IN_PROGRESS", "IN_PROGRESS", "IN_QUEUE"]:
                states = [(await http.get(each["status_url"])).json()["status"] for each in said]
        assert worker.inside.admission.taken == 2
        backend.go_on.set()
        for each in said:
            assert "error" not in await completed(http, each)


async def test_a_backend_that_fails_fails_the_job_alone(
    http: httpx.AsyncClient, caplog: pytest.LogCaptureFixture
) -> None:
    backend = ScriptedBackend(frames=18)

    def fail() -> None:
        backend.lane.clear()
        raise RuntimeError("broken in the lane")

    backend.lane[0] = fail
    async with serving(backend) as worker:
        first, second = await submitted(http, worker), await submitted(http, worker)
        assert (await completed(http, first))["error_type"] == "internal_error"
        result = await http.get(first["response_url"])
        assert result.status_code == 500 and "lane" not in result.text
        assert "error" not in await completed(http, second)
        clips = worker.server.config.app.state.clips
        assert len(list(clips.new_path().parent.iterdir())) == 1
    assert "broken in the lane" in caplog.text


async def test_a_backend_that_hangs_takes_no_more_jobs_with_it(http: httpx.AsyncClient) -> None:
    """Those that wait are for the worker that replaces this one."""
    backend, gate = ScriptedBackend(frames=9), Gate()
    backend.lane[1] = gate
    async with serving(backend, max_sessions=1, block_timeout=0.3, grace=1.5) as worker:
        first, second = await submitted(http, worker), await submitted(http, worker)
        status = await completed(http, first)
        assert status["error"] == "the backend hangs"
        assert (await http.get(second["status_url"])).json()["status"] == "IN_QUEUE"
        assert (await http.get(f"{worker.http}/health")).status_code == 503
        gate.open()


async def test_a_result_is_forgotten_with_its_clip(http: httpx.AsyncClient) -> None:
    async with serving(clip_life=0.2) as worker:
        said = await submitted(http, worker)
        async with asyncio.timeout(PATIENCE):
            while (await http.get(said["status_url"])).status_code != 404:
                pass
        result = await http.get(said["response_url"])
        assert result.status_code == 404 and "its time is over" in result.json()["detail"]


async def test_a_clip_that_made_room_for_others_is_said_to_be_gone(
    http: httpx.AsyncClient,
) -> None:
    async with serving(clip_megabytes=0, max_sessions=1) as worker:
        said = [await submitted(http, worker) for _ in range(2)]
        for each in said:
            await completed(http, each)
        gone = await http.get(said[0]["response_url"])
        assert gone.status_code == 410 and "made room" in gone.json()["detail"]
        assert (await http.get(said[1]["response_url"])).status_code == 200


async def test_other_paths_of_the_queue_are_refused_in_words_and_make_no_clip(
    http: httpx.AsyncClient,
) -> None:
    """`/queue/ALIAS/ENDPOINT`, without an owner, would else be a run of the app of "queue"."""
    async with serving() as worker:
        for path in ("/queue/krea-wan-14b/text-to-video", f"{QUEUE}/text-to-video/stream", QUEUE):
            answer = await http.post(worker.http + path, json=SMALL)
            assert answer.status_code == 404 and "/queue/OWNER/" in answer.json()["detail"]


@pytest.mark.parametrize("said", ["soon", "nan", "0", "-1", "inf"])
async def test_a_start_timeout_that_is_none_is_refused(http: httpx.AsyncClient, said: str) -> None:
    async with serving() as worker:
        answer = await http.post(
            f"{worker.http}{QUEUE}/text-to-video",
            json=SMALL,
            headers={"X-Fal-Request-Timeout": said},
        )
    assert answer.status_code == 422 and "x-fal-request-timeout" in answer.text


async def test_a_page_of_another_site_may_not_ask(http: httpx.AsyncClient) -> None:
    async with serving() as worker:
        said = await submitted(http, worker)
        evil = {"Origin": "https://evil.example"}
        assert (await http.get(said["status_url"], headers=evil)).status_code == 401
        assert (await http.put(said["cancel_url"], headers=evil)).status_code == 401
        url = f"{worker.http}{QUEUE}/text-to-video"
        assert (await http.post(url, json=SMALL, headers=evil)).status_code == 401


async def test_a_token_in_the_query_will_do(http: httpx.AsyncClient) -> None:
    """fal's JavaScript client sends it so for streams of a page."""
    key = {"Authorization": "Key id:secret"}
    async with serving(auth="jwt", key="id:secret") as worker:
        said = await submitted(http, worker, key)
        mint = {"allowed_apps": ["krea-wan-14b"]}
        token = (await http.post(f"{worker.http}/tokens/", json=mint, headers=key)).json()
        url = f"{said['status_url']}/stream"
        assert (await http.get(url)).status_code == 401
        answer = await http.get(url, params={"fal_jwt_token": token})
        assert answer.status_code == 200 and '"COMPLETED"' in answer.text
