"""Pages of listed origins read what the worker answers, refusals too; pages of others read nothing."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest
from playwright.async_api import Browser, Page
from support.pages.empty_page import empty_page
from support.servers.worker_server import PATIENCE, Running, serving

KEY = {"Authorization": "Key k1"}
JWT = {"auth": "jwt", "key": "k1"}
APP, EVIL = "https://app.example", "https://evil.example"


@asynccontextmanager
async def asking(worker: Running) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=PATIENCE) as client:
        yield client


def may_read(answer: httpx.Response, origin: str) -> bool:
    """Whether a browser lets a page of this origin see the answer."""
    assert "Origin" in answer.headers["vary"]
    assert "access-control-allow-credentials" not in answer.headers
    allowed = answer.headers.get("access-control-allow-origin")
    assert allowed in (None, origin)
    return allowed == origin


PATHS = [
    ("POST", "/tokens/"),
    ("POST", "/api/fal"),
    ("GET", "/health"),
    ("POST", "/storage/auth/token"),
    ("POST", "/files/upload"),
    ("POST", "/storage/upload/initiate"),
    ("GET", "/files/none"),
    ("PUT", "/files/none/multipart/none/1"),
    ("POST", "/text-to-video"),
    ("POST", "/fal-ai/krea-wan-14b/video-to-video"),
    ("GET", "/clips/none.mp4"),
    ("POST", "/queue/fal-ai/krea-wan-14b/text-to-video"),
    ("PUT", "/queue/fal-ai/krea-wan-14b/requests/none/cancel"),
]


@pytest.mark.parametrize(("method", "path"), PATHS)
async def test_a_preflight_is_answered_for_listed_origins_alone(method: str, path: str) -> None:
    asked = {
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "authorization,content-type,x-fal-target-url",
        "Access-Control-Request-Private-Network": "true",
    }
    async with serving(origins=APP, **JWT) as worker, asking(worker) as client:
        good = await client.options(path, headers=asked | {"Origin": APP})
        assert good.status_code == 200 and may_read(good, APP)
        assert method in good.headers["access-control-allow-methods"]
        assert "x-fal-target-url" in good.headers["access-control-allow-headers"]
        assert good.headers["access-control-allow-private-network"] == "true"
        for origin in (EVIL, "null", f"{APP}.evil.example", "http://localhost:3000"):
            bad = await client.options(path, headers=asked | {"Origin": origin})
            assert bad.status_code == 400 and not may_read(bad, origin)


async def test_refusals_can_be_read_as_well() -> None:
    from_app = {"Origin": APP}
    async with (
        serving(origins=APP, caller_tokens=2, upload_file_megabytes=1, **JWT) as worker,
        asking(worker) as client,
    ):
        by_proxy = from_app | {"X-Forwarded-For": "203.0.113.7"}
        found = [
            await client.get("/health", headers=from_app),
            await client.post("/tokens/", headers=by_proxy),
            await client.post("/text-to-video", json={"prompt": ""}, headers=from_app | KEY),
            await client.post("/files/upload", content=b"x" * 10**6 + b"x", headers=from_app | KEY),
            await client.get("/files/none", headers=from_app),
        ]
        for _ in range(2):
            last = await client.post("/tokens/", headers=by_proxy)
        worker.inside.draining.set()
        stopping = await client.get("/health", headers=from_app)
        found += [last, stopping]
        assert [answer.status_code for answer in found] == [200, 401, 422, 413, 404, 429, 503]
        assert all(may_read(answer, APP) for answer in found)


async def test_without_a_list_no_page_reads_anything() -> None:
    async with serving() as worker, asking(worker) as client:
        for origin in (EVIL, "http://localhost:3000", "http://127.0.0.1:1", worker.http, "null"):
            for path in ("/health", "/metrics", "/clips/none.mp4"):
                answer = await client.get(path, headers={"Origin": origin})
                assert not may_read(answer, origin)


CALLS = """async (worker) => {
    const key = { Authorization: "Key k1", "Content-Type": "application/json" };
    const call = async (method, path, headers, body) => {
        try {
            const answer = await fetch(worker + path, { method, headers, body });
            return [answer.status, await answer.text()];
        } catch (error) {
            return [0, ""];
        }
    };
    const apps = JSON.stringify({ allowed_apps: ["krea-wan-14b"] });
    const found = {
        token: await call("POST", "/tokens/", key, apps),
        browser: await call("POST", "/api/fal", key),
        refused: await call("POST", "/tokens/", { "Content-Type": "application/json" }, apps),
        health: await call("GET", "/health", {}),
        upload: await call("POST", "/files/upload", { ...key, "Content-Type": "text/plain" }, "x"),
        clip: await call("POST", "/text-to-video", key,
            JSON.stringify({ prompt: "a", width: 64, height: 64, num_frames: 18 })),
    };
    if (found.clip[0] === 200) {
        const url = JSON.parse(found.clip[1]).video.url;
        found.video = await call("GET", new URL(url).pathname, {});
    }
    const statuses = Object.fromEntries(Object.entries(found).map(([name, said]) => [name, said[0]]));
    return { statuses, token: found.token[1], refused: found.refused[1] };
}"""
READY = """(url) => new Promise((done) => {
    const socket = new WebSocket(url);
    socket.onmessage = (message) => { socket.close(); done(message.data); };
    socket.onerror = () => done("error");
})"""


async def page_at(browser: Browser, origin: str) -> Page:
    page = await browser.new_page()
    await page.goto(origin)
    return page


@pytest.mark.browser
async def test_in_a_browser_a_listed_page_calls_all_of_it_and_another_none(
    browser: Browser,
) -> None:
    with empty_page() as listed, empty_page() as other:
        async with serving(origins=listed, **JWT) as worker:
            page = await page_at(browser, listed)
            said = await page.evaluate(CALLS, worker.http)
            assert said["statuses"] == {
                "token": 200, "browser": 200, "refused": 401, "health": 200, "upload": 200,
                "clip": 200, "video": 200,
            }  # fmt: skip
            assert "this worker's key is needed" in said["refused"]
            token = said["token"].strip('"')
            ready = await page.evaluate(READY, f"{worker.url}?fal_jwt_token={token}")
            assert ready == '{"status":"ready"}'
            unlisted = await page_at(browser, other)
            said = await unlisted.evaluate(CALLS, worker.http)
            assert set(said["statuses"].values()) == {0}
            uploads = worker.server._app.state.uploads
            assert uploads.bytes_kept == 1  # the listed page's: the other's never came
            await asyncio.gather(page.close(), unlisted.close())
