"""What a mint is asked for: an alias alone at `/tokens/`, a whole app at `/tokens/realtime`."""

from typing import Any

import httpx
import pytest
from support.servers.worker_server import PATIENCE, Running, serving
from support.viewers.raw_viewer import SMALL, connected

KEY = "the-key"
ALIAS = "krea-wan-14b"


async def asked(worker: Running, path: str, body: Any, key: str = KEY) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        return await client.post(
            worker.http + path, json=body, headers={"Authorization": f"Key {key}"}
        )


async def frames_with(worker: Running, token: str) -> int:
    async with connected(f"{worker.url}?fal_jwt_token={token}") as viewer:
        await viewer.say(prompt="a", num_blocks=1, **SMALL)
        return len((await viewer.stream()).frames)


@pytest.mark.parametrize("app", [f"fal-ai/{ALIAS}", f"fal-ai/{ALIAS}/realtime", f"/{ALIAS}"])
async def test_an_app_with_its_owner_is_refused_since_its_token_would_open_nothing(
    app: str,
) -> None:
    async with serving(auth="jwt", key=KEY) as worker:
        answer = await asked(worker, "/tokens/", {"allowed_apps": [ALIAS, app]})
    assert answer.status_code == 422
    (detail,) = answer.json()["detail"]
    assert detail["loc"] == ["allowed_apps", 1]
    assert "the alias alone, such as krea-wan-14b, without owner or path" in detail["msg"]


@pytest.mark.parametrize("app", [f"fal-ai/{ALIAS}", f"fal-ai/{ALIAS}/realtime", ALIAS])
async def test_the_newer_mint_takes_the_whole_app_and_its_token_opens_the_worker(app: str) -> None:
    async with serving(auth="jwt", key=KEY) as worker:
        answer = await asked(worker, "/tokens/realtime", {"app": app, "duration": 60})
        assert answer.status_code == 201 and answer.json().keys() == {"token"}
        assert await frames_with(worker, answer.json()["token"]) == 6


@pytest.mark.parametrize(
    "body",
    [{}, {"app": ""}, {"app": "a/../b"}, {"app": "a/" + "b" * 200}, {"app": "a/b", "duration": 0}],
)
async def test_the_newer_mint_says_what_is_wrong_with_what_it_is_asked(body: Any) -> None:
    async with serving(auth="jwt", key=KEY) as worker:
        answer = await asked(worker, "/tokens/realtime", body)
    assert answer.status_code == 422 and answer.json()["detail"][0]["msg"]


async def test_the_newer_mint_asks_for_the_key_as_well() -> None:
    async with serving(auth="jwt", key=KEY) as worker:
        answer = await asked(worker, "/tokens/realtime", {"app": f"fal-ai/{ALIAS}"}, key="another")
    assert answer.status_code == 401 and KEY not in answer.text
