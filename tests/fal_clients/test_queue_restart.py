"""A worker is killed or told to stop between submit and result: the next one goes on with its jobs."""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import fal_client
import httpx
import pytest
from support.fal_py import Fal, fal_py
from support.servers.ports import free_port
from support.servers.worker_server import PATIENCE, Command, command
from support.video_files_made import seen

pytestmark = pytest.mark.timeout(300)
TEXT = "fal-ai/krea-wan-14b/text-to-video"
SMALL = {"prompt": "a fox", "num_frames": 18, "width": 64, "height": 64}


class Place:
    """Where one worker after another stands, each with the folder of the one before."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"

    def worker(
        self, *options: str, block_seconds: float | None = None
    ) -> AbstractAsyncContextManager[Command]:
        return command(
            *("--port", str(self.port), "--max-sessions", "1", *options),
            slow=block_seconds is not None,
            HOME=str(self._home),
            FRAMEWIRE_TEST_BLOCK=str(block_seconds or 0),
        )

    @property
    def folder(self) -> Path:
        return self._home / ".local" / "state" / "framewire" / str(self.port)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@asynccontextmanager
async def client(place: Place) -> AsyncIterator[Fal]:
    async with fal_py("async", place.url) as fal:
        yield fal


async def frames_of(answer: Any) -> int:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as http:
        return len(seen((await http.get(answer["video"]["url"])).content).frames)


async def until_it_runs(handle: fal_client.AsyncRequestHandle) -> None:
    async with asyncio.timeout(PATIENCE):
        while not isinstance(await handle.status(), fal_client.InProgress):
            pass


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM])
async def test_what_ran_runs_again_what_waited_waits_and_what_is_done_opens(
    place: Place, end: signal.Signals
) -> None:
    """The handles that `submit` gave are all that the caller needs."""
    async with client(place) as fal:
        async with place.worker() as first:
            done = await fal.call("submit", TEXT, SMALL | {"seed": 1})
            before = await fal.of(done, "get")
            wrong = await fal.call("submit", TEXT, SMALL | {"num_frames": 17})
            first.signal(signal.SIGTERM)
            assert await first.exit_code() == 0
        killed = end is signal.SIGKILL  # else the block under way is waited for
        async with place.worker(block_seconds=60 if killed else 3) as second:
            running, waiting, dropped = [
                await fal.call("submit", TEXT, SMALL | {"seed": seed, "num_frames": 30})
                for seed in (2, 3, 4)
            ]
            await until_it_runs(running)
            await fal.of(dropped, "cancel")
            second.signal(end)
            await second.exit_code()
        async with place.worker():
            assert (await fal.of(done, "get"))["video"]["url"] == before["video"]["url"]
            assert await frames_of(before) == 18
            for handle, seed in ((running, 2), (waiting, 3)):
                answer = await fal.of(handle, "get")
                assert answer["seed"] == seed and await frames_of(answer) == 30
            status = await fal.of(running, "status", with_logs=True)
            begun_again = any("begun again" in line["message"] for line in status.logs)
            assert begun_again is killed
            for handle, code in ((wrong, 422), (dropped, 499)):
                with pytest.raises(fal_client.FalClientHTTPError) as failed:
                    await fal.of(handle, "get")
                assert failed.value.status_code == code
            clips = {path.name for path in (place.folder / "clips").iterdir()}
            assert len(clips) == 3, "what a killed worker had half made is gone"
            assert list((place.folder / "jobs" / "bodies").iterdir()) == []


async def test_a_job_that_takes_its_worker_down_is_not_begun_for_ever(place: Place) -> None:
    """The fourth worker says so, and makes what comes after it."""
    async with client(place) as fal:
        deadly: Any = None
        for _ in range(3):
            async with place.worker(block_seconds=60) as worker:
                deadly = deadly or await fal.call("submit", TEXT, SMALL)
                await until_it_runs(deadly)
                worker.signal(signal.SIGKILL)
                await worker.exit_code()
        async with place.worker():
            with pytest.raises(fal_client.FalClientHTTPError, match="ended 3 times") as failed:
                await fal.of(deadly, "get")
            assert failed.value.status_code == 503
            assert await frames_of(await fal.call("subscribe", TEXT, SMALL)) == 18


async def test_a_thousand_jobs_that_wait_are_all_there_after_a_kill(place: Place) -> None:
    """In their order, and as many as before are bounds to the next ones."""
    async with client(place) as fal, httpx.AsyncClient(trust_env=False, timeout=60) as http:
        async with place.worker("--jobs", "1000", block_seconds=60) as worker:
            url = f"{place.url}/queue/{TEXT}"
            running = await fal.call("submit", TEXT, SMALL)
            await until_it_runs(running)
            said = [
                (await http.post(url, json=SMALL | {"seed": seed})).json() for seed in range(1000)
            ]
            worker.signal(signal.SIGKILL)
            await worker.exit_code()
        async with place.worker("--jobs", "500", block_seconds=60):
            await until_it_runs(running)
            answers = [await http.get(each["status_url"]) for each in said]
            assert [each.json()["queue_position"] for each in answers] == list(range(1000))
            full = await http.post(url, json=SMALL)
            assert full.status_code == 429 and "500 requests are in the queue" in full.text
            await fal.call("cancel", TEXT, said[0]["request_id"])
            moved = (await http.get(said[-1]["status_url"])).json()["queue_position"]
            assert moved == 998
