"""`/api/fal` in the place of fal's proxy: the worker answers, and checks as it does elsewhere."""

import httpx
import jwt
import pytest
from support.servers.worker_server import Running, serving

KEY, SECRET = "id:secret", "a secret of more than thirty-two bytes"
PATHS = ("/api/fal", "/api/fal/proxy")
TOKENS = {"x-fal-target-url": "https://rest.fal.ai/tokens/"}
CLIP = {"x-fal-target-url": "https://fal.run/fal-ai/krea-wan-14b/text-to-video"}
SMALL = {"prompt": "a fox", "num_blocks": 1, "width": 64, "height": 64}


def client(worker: Running) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=60)


@pytest.mark.parametrize("path", PATHS)
async def test_a_run_through_it_is_a_run_here(path: str) -> None:
    async with serving() as worker, client(worker) as http:
        answer = await http.post(path, json=SMALL, headers=CLIP)
        assert answer.status_code == 200
        url = answer.json()["video"]["url"]
        assert url.startswith(f"{worker.http}/clips/"), "which its caller can fetch as it is"
        assert (await http.get(url)).content[4:8] == b"ftyp"
        refused = await http.post(path, json=SMALL | {"width": 1}, headers=CLIP)
        assert refused.status_code == 422 and refused.json()["detail"][0]["loc"][-1] == "width"


async def test_a_token_through_it_is_minted_here_for_a_key_alone() -> None:
    async with serving(auth="jwt", key=KEY, secret=SECRET) as worker, client(worker) as http:
        wanted = {"allowed_apps": ["krea-wan-14b"], "token_expiration": 120}
        key = {"authorization": f"Key {KEY}"}
        minted = await http.post(PATHS[0], json=wanted, headers=TOKENS | key)
        claims = jwt.decode(minted.json(), SECRET, ["HS256"], options={"verify_iat": False})
        assert claims["allowed_apps"] == ["krea-wan-14b"]
        assert (await http.post(PATHS[0], json=wanted, headers=TOKENS)).status_code == 401
        assert (await http.post(PATHS[0], json=SMALL, headers=CLIP)).status_code == 401
        assert (await http.post(PATHS[0], json=SMALL, headers=CLIP | key)).status_code == 200


async def test_pages_of_other_sites_are_refused_as_by_the_routes_themselves() -> None:
    async with serving() as worker, client(worker) as http:
        for headers in (TOKENS, CLIP):
            elsewhere = {"origin": "https://elsewhere.example"}
            answer = await http.post(PATHS[0], json=SMALL, headers=headers | elsewhere)
            assert answer.status_code == 401 and "Origin" in answer.text


async def test_what_it_does_not_answer_is_an_invalid_request_and_goes_nowhere() -> None:
    async with serving() as worker, client(worker) as http:
        for target in ("https://example.com/", worker.http, "https://fal.run/health"):
            answer = await http.get(PATHS[0], headers={"x-fal-target-url": target})
            assert answer.status_code == 400
            assert "Invalid request" in answer.json()["detail"]
        twice = [("x-fal-target-url", CLIP["x-fal-target-url"])] * 2
        assert (await http.post(PATHS[0], json=SMALL, headers=twice)).status_code == 400
        assert (await http.post(PATHS[1])).status_code == 400
        missing = {"x-fal-target-url": "https://fal.run/fal-ai/krea-wan-14b/nothing"}
        assert (await http.post(PATHS[0], headers=missing)).status_code == 404


async def test_the_headers_of_its_calls_reach_no_other_route() -> None:
    """Anywhere but at the proxy's place the header means nothing."""
    async with serving() as worker, client(worker) as http:
        assert (await http.get("/health", headers=TOKENS)).status_code == 200


async def test_without_the_header_it_mints_for_a_browser_as_before() -> None:
    async with serving() as worker, client(worker) as http:
        assert list((await http.post(PATHS[0])).json()) == ["token"]
