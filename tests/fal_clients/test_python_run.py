"""fal's Python client, blocking and async: runs, and how errors arrive."""

import fal_client
import httpx
import pytest
from support.fal_py import Kind, fal_py
from support.servers.worker_server import serving

APP = "fal-ai/krea-wan-14b"
SMALL = {"prompt": "a fox", "num_frames": 18, "width": 64, "height": 64, "seed": 7}
BOTH = pytest.mark.parametrize("kind", ["sync", "async"])


@BOTH
async def test_run_returns_a_clip_that_its_caller_can_fetch(kind: Kind) -> None:
    async with serving() as worker, fal_py(kind, worker.http) as fal:
        made = await fal.call("run", f"{APP}/text-to-video", SMALL)
        assert made["seed"] == 7
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            clip = await http.get(made["video"]["url"])
        assert len(clip.content) == made["video"]["file_size"]
        assert await fal.call("run", APP, SMALL, path="text-to-video")


@BOTH
async def test_a_refused_run_is_the_clients_own_error_with_our_words(kind: Kind) -> None:
    async with serving() as worker, fal_py(kind, worker.http) as fal:
        with pytest.raises(fal_client.FalClientHTTPError) as refused:
            await fal.call("run", f"{APP}/text-to-video", SMALL | {"width": 1})
        assert refused.value.status_code == 422 and "width" in str(refused.value)
        with pytest.raises(fal_client.FalClientHTTPError, match="this worker serves krea-wan-14b"):
            await fal.call("run", "fal-ai/flux/text-to-video", SMALL)


@BOTH
async def test_a_wrong_key_is_the_clients_own_error(kind: Kind) -> None:
    async with serving(auth="jwt", key="id:secret") as worker:
        async with fal_py(kind, worker.http, key="id:wrong") as fal:
            with pytest.raises(fal_client.FalClientHTTPError) as refused:
                await fal.call("run", f"{APP}/text-to-video", SMALL)
            assert refused.value.status_code == 401
        async with fal_py(kind, worker.http, key="id:secret") as fal:
            assert await fal.call("run", f"{APP}/text-to-video", SMALL)
