"""The page over HTTP: its files, what they may load, and who may ask for them."""

import json

import httpx
import pytest
from support.servers.worker_server import Running, serving

from framewire.worker.server.page.files import page_files
from framewire.worker.server.page.of_worker import described

NOWHERE_ELSE = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "connect-src": "'self'",
    "img-src": "'self' blob:",
    "media-src": "'self' blob:",
    "base-uri": "'none'",
    "form-action": "'none'",
    "frame-ancestors": "'none'",
}


async def get(worker: Running, path: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=60) as client:
        return await client.get(path, headers=headers)


async def test_every_file_has_its_type_a_tag_and_a_policy_that_lets_nothing_else_in() -> None:
    types = {
        "css": "text/css",
        "html": "text/html",
        "js": "text/javascript",
        "svg": "image/svg+xml",
    }
    async with serving() as worker:
        for path in ["", *(f"page/{name}" for name in page_files())]:
            answer = await get(worker, f"/{path}")
            assert answer.status_code == 200, path
            suffix = path.rpartition(".")[2] or "html"
            assert answer.headers["content-type"].split(";")[0] == types[suffix]
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert answer.headers["cache-control"] == "no-cache"
            policy = answer.headers["content-security-policy"].split("; ")
            assert dict(rule.split(" ", 1) for rule in policy) == NOWHERE_ELSE


async def test_a_file_that_the_browser_has_is_not_sent_again() -> None:
    async with serving() as worker:
        first = await get(worker, "/page/app.js")
        again = await get(worker, "/page/app.js", **{"if-none-match": first.headers["etag"]})
    assert again.status_code == 304 and not again.content


@pytest.mark.parametrize(
    "path", ["/page/", "/page/nothing.js", "/page/../app.py", "/page/%2e%2e/app.py"]
)
async def test_nothing_but_the_page_is_below_its_folder(path: str) -> None:
    async with serving() as worker:
        answer = await get(worker, path)
    assert answer.status_code == 404


async def test_the_page_is_told_where_it_is_and_is_not_cached() -> None:
    async with serving(auth="jwt", key="k" * 40, alias="mine") as worker:
        answer = await get(worker, "/page.json")
        assert answer.headers["cache-control"] == "no-store"
        said = answer.json()
        expected = described(worker.inside.config, worker.inside.backend)
    assert said == json.loads(json.dumps(expected.as_json()))
    assert said["auth"] and not said["hosted"] and said["socket"] is None
    assert said["alias"] == "mine" and said["preset"] == "testcard"
    assert (said["first_block_frames"], said["block_frames"], said["multiple"]) == (6, 12, 8)
    assert len(said["prompts"]) == 12 and "red" in said["draws"]["colour"]


@pytest.mark.parametrize("path", ["/", "/page/app.js", "/page.json"])
async def test_a_name_or_a_page_of_another_site_gets_nothing(path: str) -> None:
    """On loopback: who was led here by a name of its own (DNS rebinding) reads nothing."""
    async with serving() as worker:
        for headers in ({"host": "evil.example"}, {"origin": "https://evil.example"}):
            assert (await get(worker, path, **headers)).status_code == 403
