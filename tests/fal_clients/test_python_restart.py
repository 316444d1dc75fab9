"""fal's Python client, blocking and async: requests outlive the worker, but not who gave them up."""

import asyncio
from pathlib import Path

import fal_client
import pytest
from support.fal_py import Kind, fal_py
from support.servers.ports import free_port
from support.servers.worker_server import PATIENCE, command, lane_held, serving

CLIP = "fal-ai/krea-wan-14b/text-to-video"
SMALL = {"prompt": "a fox", "num_frames": 18, "width": 64, "height": 64, "seed": 7}
BOTH = pytest.mark.parametrize("kind", ["sync", "async"])


@BOTH
async def test_a_caller_that_gives_up_takes_its_request_with_it(kind: Kind) -> None:
    async with serving(max_sessions=1) as worker, fal_py(kind, worker.http) as fal:
        async with lane_held(worker.inside):
            with pytest.raises(fal_client.FalClientTimeoutError) as given_up:
                await fal.call("subscribe", CLIP, SMALL, client_timeout=3)
            assert given_up.value.request_id is not None
        async with asyncio.timeout(PATIENCE):
            request_id = given_up.value.request_id
            while not isinstance(await fal.call("status", CLIP, request_id), fal_client.Completed):
                pass


@BOTH
async def test_a_result_outlives_the_worker_that_made_it_and_what_waits_is_made_by_the_next(
    kind: Kind, tmp_path: Path
) -> None:
    """The same address, started again on the same folder."""
    place = ("--port", str(free_port()), "--state-folder", str(tmp_path))
    options = (*place, "--max-sessions", "1")
    slow = {"slow": True, "FRAMEWIRE_TEST_BLOCK": "0.2"}
    async with command(*options) as worker, fal_py(kind, worker.http) as fal:
        done = await fal.call("submit", CLIP, SMALL)
        assert (await fal.of(done, "get"))["seed"] == 7
        worker.signal()
        await worker.exit_code()
    async with (
        command(*options, **slow) as worker,  # type: ignore[arg-type]
        fal_py(kind, worker.http) as fal,
    ):
        again = await fal.call("result", CLIP, done.request_id)
        assert again["seed"] == 7
        waiting = [await fal.call("submit", CLIP, SMALL | {"seed": n}) for n in range(3)]
        worker.signal()
        await worker.exit_code()
    async with command(*options) as worker, fal_py(kind, worker.http) as fal:
        for number, handle in enumerate(waiting):
            assert (await fal.call("result", CLIP, handle.request_id))["seed"] == number
