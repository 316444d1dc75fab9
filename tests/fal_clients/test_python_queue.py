"""fal's Python client, blocking and async: the queue, as most callers use an endpoint."""

import asyncio
from pathlib import Path
from typing import Any

import fal_client
import pytest
from support.fal_py import Fal, Kind, fal_py
from support.servers.worker_server import command, lane_held, serving

APP = "fal-ai/krea-wan-14b"
CLIP = f"{APP}/text-to-video"
SMALL = {"prompt": "a fox", "num_frames": 18, "width": 64, "height": 64, "seed": 7}
LONG = 162
BOTH = pytest.mark.parametrize("kind", ["sync", "async"])


async def until(fal: Fal, request_id: str, wanted: type) -> Any:
    """The first status of that kind."""
    async with asyncio.timeout(60):
        while True:
            status = await fal.call("status", CLIP, request_id, with_logs=True)
            if isinstance(status, wanted):
                return status


@BOTH
async def test_subscribe_tells_of_its_place_its_logs_and_its_result(kind: Kind) -> None:
    statuses: list[Any] = []
    ids: list[str] = []
    async with serving() as worker, fal_py(kind, worker.http) as fal:
        made = await fal.call(
            "subscribe",
            CLIP,
            SMALL,
            with_logs=True,
            interval=0.01,
            on_enqueue=ids.append,
            on_queue_update=statuses.append,
        )
        assert made["seed"] == 7 and made["video"]["url"].startswith(f"{worker.http}/clips/")
        assert len(ids) == 1
    last = statuses[-1]
    assert isinstance(last, fal_client.Completed) and last.error is None
    assert last.logs and all({"message", "level", "timestamp"} <= line.keys() for line in last.logs)
    assert last.metrics["inference_time"] > 0


@BOTH
async def test_submit_status_result_by_its_handle_and_by_its_id(kind: Kind) -> None:
    async with serving(max_sessions=1) as worker, fal_py(kind, worker.http) as fal:
        async with lane_held(worker.inside):
            first = await fal.call("submit", CLIP, SMALL)
            second = await fal.call("submit", APP, SMALL | {"seed": 8}, path="text-to-video")
            for place, handle in enumerate((first, second)):
                status = await fal.of(handle, "status", with_logs=True)
                assert isinstance(status, fal_client.Queued) and status.position == place
        assert (await fal.of(first, "get"))["seed"] == 7
        assert (await fal.call("result", CLIP, second.request_id))["seed"] == 8


@BOTH
async def test_cancel_takes_what_waits_and_what_runs_out_of_the_queue(kind: Kind) -> None:
    async with (
        command("--max-sessions", "1", slow=True, FRAMEWIRE_TEST_BLOCK="0.5") as worker,
        fal_py(kind, worker.http) as fal,
    ):
        first = await fal.call("submit", CLIP, SMALL | {"num_frames": LONG})
        status = await until(fal, first.request_id, fal_client.InProgress)
        assert "started" in status.logs[0]["message"]
        second = await fal.call("submit", CLIP, SMALL)
        third = await fal.call("submit", CLIP, SMALL)
        await fal.of(second, "cancel")
        assert (await fal.of(third, "status")).position == 0
        await fal.call("cancel", CLIP, first.request_id)
        for cancelled in (first, second):
            ended = await until(fal, cancelled.request_id, fal_client.Completed)
            assert "cancel" in (ended.error or "")
            with pytest.raises(fal_client.FalClientHTTPError, match="cancel"):
                await fal.of(cancelled, "get")
        assert (await fal.of(third, "get"))["seed"] == 7
        with pytest.raises(fal_client.FalClientHTTPError) as late:
            await fal.of(third, "cancel")
        assert late.value.status_code == 400


@BOTH
async def test_what_is_wrong_with_a_request_is_the_clients_own_error(kind: Kind) -> None:
    """At once or with the result, as fal does, and with our words."""
    async with serving() as worker, fal_py(kind, worker.http) as fal:
        with pytest.raises(fal_client.FalClientHTTPError) as wrong:
            await fal.call("subscribe", CLIP, SMALL | {"width": 1})
        assert wrong.value.status_code == 422 and "width" in str(wrong.value)
        with pytest.raises(fal_client.FalClientHTTPError, match="webhook") as hooked:
            await fal.call("submit", CLIP, SMALL, webhook_url="https://example.com/hook")
        assert hooked.value.status_code == 422
        with pytest.raises(fal_client.FalClientHTTPError, match="text-to-video"):
            await fal.call("submit", f"{APP}/text-to-speech", SMALL)
        with pytest.raises(fal_client.FalClientHTTPError) as unknown:
            await fal.call("status", CLIP, "nobody-knows-it")
        assert unknown.value.status_code == 404


@BOTH
async def test_a_caller_that_gives_up_takes_its_request_with_it(kind: Kind) -> None:
    async with serving(max_sessions=1) as worker, fal_py(kind, worker.http) as fal:
        async with lane_held(worker.inside):
            with pytest.raises(fal_client.FalClientTimeoutError) as given_up:
                await fal.call("subscribe", CLIP, SMALL, client_timeout=1.5)
            assert given_up.value.request_id is not None
        await until(fal, given_up.value.request_id, fal_client.Completed)


@BOTH
async def test_a_result_outlives_the_worker_that_made_it_and_what_waits_is_made_by_the_next(
    kind: Kind, tmp_path: Path
) -> None:
    """The same address, started again on the same folder."""
    options = ("--state-folder", str(tmp_path), "--max-sessions", "1")
    slow = {"slow": True, "FRAMEWIRE_TEST_BLOCK": "0.2"}
    async with command(*options) as worker, fal_py(kind, worker.http) as fal:
        port = worker.url.split(":")[2].split("/")[0]
        done = await fal.call("submit", CLIP, SMALL)
        assert (await fal.of(done, "get"))["seed"] == 7
        worker.signal()
        await worker.exit_code()
    async with (
        command(*options, "--port", port, **slow) as worker,  # type: ignore[arg-type]
        fal_py(kind, worker.http) as fal,
    ):
        again = await fal.call("result", CLIP, done.request_id)
        assert again["seed"] == 7
        waiting = [await fal.call("submit", CLIP, SMALL | {"seed": n}) for n in range(3)]
        worker.signal()
        await worker.exit_code()
    async with command(*options, "--port", port) as worker, fal_py(kind, worker.http) as fal:
        for number, handle in enumerate(waiting):
            assert (await fal.call("result", CLIP, handle.request_id))["seed"] == number
