"""fal's SDKs through this server: what is asked, what is answered, and what stays behind."""

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
import pytest_asyncio
from support.servers.hosted_server import (
    APP,
    FAL_KEY,
    FalHosts,
    Hosted,
    fal_hosts,
    serving_fal,
    told,
)
from support.servers.worker_server import PATIENCE

from framewire.worker.server.hosted import relay

KEY = "the-key-of-this-server"
RUN = f"https://fal.run/{APP}"


@pytest_asyncio.fixture
async def fal() -> AsyncIterator[FalHosts]:
    async with fal_hosts() as hosts:
        yield hosts


@pytest_asyncio.fixture
async def hosted(fal: FalHosts) -> AsyncIterator[Hosted]:
    async with serving_fal(fal.origin) as running:
        yield running


async def ask(
    hosted: Hosted, target: str | None, method: str = "POST", path: str = "/api/fal", **how: Any
) -> httpx.Response:
    headers = {} if target is None else {"x-fal-target-url": target}
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.request(
            method, hosted.http + path, headers=headers | how.pop("headers", {}), **how
        )


@pytest.mark.parametrize("path", ["/api/fal", "/api/fal/proxy"])
async def test_a_run_goes_to_fal_with_the_key_and_its_answer_comes_back(
    path: str, hosted: Hosted, fal: FalHosts
) -> None:
    fal.headers = {"x-fal-request-id": "7"}
    answer = await ask(hosted, f"{RUN}?a=b%20c", path=path, json={"prompt": "a"})
    assert answer.status_code == 200 and answer.headers["x-fal-request-id"] == "7"
    assert answer.json() == {
        "method": "POST",
        "path": f"/{APP}?a=b%20c",
        "body": '{"prompt":"a"}',
    }
    asked = fal.asked[0].headers
    assert asked["authorization"] == f"Key {FAL_KEY}"
    assert asked["content-type"] == "application/json"
    assert asked["x-fal-client-proxy"] == "framewire"


@pytest.mark.parametrize(
    ("method", "url"),
    [
        ("GET", f"https://queue.fal.run/{APP}/requests/1/status"),
        ("PUT", f"https://queue.fal.run/{APP}/requests/1/cancel"),
        ("POST", "https://rest.fal.ai/storage/upload/initiate?storage_type=fal-cdn-v3"),
        ("DELETE", f"https://queue.fal.run/{APP}/requests/1"),
    ],
)
async def test_the_queue_and_the_storage_can_be_asked_with_their_methods(
    method: str, url: str, hosted: Hosted, fal: FalHosts
) -> None:
    assert (await ask(hosted, url, method)).status_code == 200
    assert fal.asked[0].method == method
    assert url.endswith(fal.asked[0].path)


async def test_what_a_caller_says_of_itself_stays_here(hosted: Hosted, fal: FalHosts) -> None:
    headers = {
        "authorization": "Key the-callers-own",
        "cookie": "session=1",
        "origin": hosted.http,
        "referer": f"{hosted.http}/#token=abc",
        "x-forwarded-for": "1.2.3.4",
        "proxy-authorization": "Basic abc",
        "connection": "x-fal-hop",
        "te": "trailers",
        "x-api-key": "another",
        "x-fal-queue-priority": "low",
    }
    await ask(hosted, RUN, json={}, headers=headers)
    asked = fal.asked[0].headers
    assert asked["x-fal-queue-priority"] == "low"
    assert asked["authorization"] == f"Key {FAL_KEY}"
    known = {"accept", "accept-encoding", "authorization", "connection", "content-length"}
    known |= {"content-type", "host", "user-agent", "x-fal-client-proxy", "x-fal-queue-priority"}
    assert set(asked) == known
    assert fal.origin.endswith(asked["host"])


async def test_cookies_and_whatever_binds_a_browser_stay_behind(
    hosted: Hosted, fal: FalHosts
) -> None:
    """This origin is the page's: fal's answers are data to it, and set nothing up in it."""
    fal.headers = {
        "set-cookie": "a=b",
        "access-control-allow-origin": "*",
        "strict-transport-security": "max-age=1",
        "clear-site-data": '"*"',
        "keep-alive": "timeout=5",
        "content-type": "text/html",
        "etag": '"x"',
    }
    answer = await ask(hosted, RUN, json={})
    for name in list(fal.headers)[:5]:
        assert name not in answer.headers
    assert answer.headers["etag"] == '"x"'
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in answer.headers["content-security-policy"]


async def test_a_cookie_of_fals_for_one_caller_is_not_sent_for_the_next(
    hosted: Hosted, fal: FalHosts
) -> None:
    fal.headers = {"set-cookie": "session=1; Path=/"}
    for _ in range(2):
        await ask(hosted, RUN, json={})
    assert "cookie" not in fal.asked[1].headers


async def test_a_signed_url_of_the_storage_is_asked_without_the_key(
    hosted: Hosted, fal: FalHosts
) -> None:
    answer = await ask(hosted, "https://v3.fal.media/files/a.png?sig=1", "PUT", content=b"x")
    assert answer.status_code == 200
    assert "authorization" not in fal.asked[0].headers


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_neither_followed_nor_passed_on(
    status: int, hosted: Hosted, fal: FalHosts
) -> None:
    fal.status, fal.headers = status, {"location": f"{fal.origin}/elsewhere"}
    answer = await ask(hosted, RUN, json={})
    assert answer.status_code == 502 and "location" not in answer.headers
    assert "another address" in told(answer) and len(fal.asked) == 1


@pytest.mark.parametrize("status", [401, 404, 422, 429, 503])
async def test_what_fal_says_of_an_error_is_passed_on(
    status: int, hosted: Hosted, fal: FalHosts
) -> None:
    fal.status, fal.headers = status, {"retry-after": "7"}
    answer = await ask(hosted, RUN, json={})
    assert answer.status_code == status and answer.headers["retry-after"] == "7"
    assert answer.json()["method"] == "POST"


async def test_an_answer_passes_through_part_by_part(hosted: Hosted, fal: FalHosts) -> None:
    """As events of a run that streams: the first part is here before the second was sent."""
    fal.parts = [b"data: 1\n\n", b"data: 2\n\n"]
    fal.headers = {"content-type": "text/event-stream"}
    headers = {"x-fal-target-url": f"{RUN}/stream"}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        client.stream("POST", f"{hosted.http}/api/fal", headers=headers) as answer,
    ):
        parts = answer.aiter_raw()
        assert await anext(parts) == b"data: 1\n\n"
        fal.goes_on.set()
        assert await anext(parts) == b"data: 2\n\n"
        assert answer.headers["content-type"].startswith("text/event-stream")


async def test_a_body_passes_through_before_it_is_whole(
    hosted: Hosted, fal: FalHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = bytes(range(256)) * 20_000

    async def parts() -> AsyncIterator[bytes]:
        for at in range(0, len(sent), 100_000):
            yield sent[at : at + 100_000]

    answer = await ask(hosted, RUN, content=parts())
    assert answer.json()["body"].encode("latin-1") == sent


async def test_a_body_that_is_too_large_is_refused_from_its_head_or_while_it_comes(
    hosted: Hosted, fal: FalHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relay, "MOST_SENT", 1000)

    async def parts() -> AsyncIterator[bytes]:
        for _ in range(3):
            yield bytes(500)

    for content in (bytes(1001), parts()):
        answer = await ask(hosted, RUN, content=content)
        assert answer.status_code == 413 and "1000 bytes" in told(answer)
    assert (await ask(hosted, RUN, content=bytes(1000))).status_code == 200
    assert [len(each.body) for each in fal.asked] == [1000]


async def test_an_answer_that_is_too_large_is_refused_or_cut(
    hosted: Hosted, fal: FalHosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was cut is not taken for a whole one."""
    monkeypatch.setattr(relay, "MOST_ANSWERED", 1000)
    fal.parts = [bytes(1001)]
    fal.headers = {"content-length": "1001"}
    answer = await ask(hosted, RUN, json={})
    assert answer.status_code == 502 and "too much" in told(answer)
    fal.parts, fal.headers = [bytes(600), bytes(600)], {}
    fal.goes_on.set()
    with pytest.raises(httpx.RemoteProtocolError):
        await ask(hosted, RUN, json={})


@pytest.mark.parametrize(
    "target",
    [
        "http://fal.run/a/b",
        "https://fal.run@127.0.0.1/a/b",
        "https://evil.example/a/b",
        "https://rest.fal.ai/keys",
        "https://fal.run/a/../b",
        "",
    ],
)
async def test_another_target_is_refused_and_nothing_is_asked(
    target: str, hosted: Hosted, fal: FalHosts
) -> None:
    answer = await ask(hosted, target, json={})
    assert answer.status_code == 400 and "Invalid request" in told(answer)
    assert fal.asked == []


async def test_two_targets_are_none(hosted: Hosted, fal: FalHosts) -> None:
    """Or one could be checked and the other asked for."""
    headers = [("x-fal-target-url", RUN), ("x-fal-target-url", "https://evil.example/")]
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        answer = await client.post(f"{hosted.http}/api/fal", headers=headers)
    assert answer.status_code == 400 and fal.asked == []


async def test_the_place_of_the_proxy_needs_a_target(hosted: Hosted) -> None:
    assert (await ask(hosted, None, path="/api/fal/proxy")).status_code == 400
    assert (await ask(hosted, None, "GET")).status_code == 400


@pytest.mark.parametrize(
    "headers",
    [{"origin": "https://evil.example"}, {"origin": "null"}, {"host": "evil.example"}],
)
async def test_a_page_of_another_site_cannot_spend_the_key(
    headers: dict[str, str], hosted: Hosted, fal: FalHosts
) -> None:
    for target in (RUN, None):
        answer = await ask(hosted, target, json={}, headers=headers)
        assert answer.status_code == 403
    assert fal.asked == []


async def test_where_others_can_connect_a_key_is_asked_for(fal: FalHosts) -> None:
    async with serving_fal(fal.origin, host="0.0.0.0", auth="jwt", key=KEY) as hosted:
        for authorization in ("", "Key wrong", "Bearer a.b.c", f"Key {FAL_KEY}"):
            headers = {"authorization": authorization} if authorization else {}
            answer = await ask(hosted, RUN, json={}, headers=headers)
            assert answer.status_code == 403, authorization
        assert fal.asked == []
        good = {"authorization": f"Key {KEY}"}
        assert (await ask(hosted, RUN, json={}, headers=good)).status_code == 200
        assert fal.asked[0].headers["authorization"] == f"Key {FAL_KEY}"


async def test_a_host_that_cannot_be_reached_is_an_error_without_the_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level("DEBUG")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with serving_fal(f"http://127.0.0.1:{unused.getsockname()[1]}") as hosted:
            answer = await ask(hosted, RUN, json={})
    assert answer.status_code == 502 and "fal.run cannot be reached" in told(answer)
    assert FAL_KEY not in answer.text


async def test_a_caller_that_leaves_ends_what_was_asked_for_it(
    hosted: Hosted, fal: FalHosts
) -> None:
    """No answer is read on for nobody: the connection to fal comes free."""
    fal.parts = [b"first", *[bytes(60_000)] * 2000]
    headers = {"x-fal-target-url": RUN}
    async with (
        httpx.AsyncClient(trust_env=False, timeout=60) as client,
        client.stream("POST", f"{hosted.http}/api/fal", headers=headers) as answer,
    ):
        assert await anext(answer.aiter_raw()) == b"first"
    pool = hosted.app.state.client._transport._pool
    fal.goes_on.set()
    async with asyncio.timeout(PATIENCE):
        while pool.connections:  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.01)
