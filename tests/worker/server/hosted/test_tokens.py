"""Tokens for the page in front of fal: minted with a key that stays, for one app, a short life."""

import json
import socket
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
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
from support.viewers.raw_viewer import opened

KEY = "the-key-of-this-server"
MINT = "https://rest.fal.ai/tokens/"


@pytest_asyncio.fixture
async def fal() -> AsyncIterator[FalHosts]:
    async with fal_hosts() as hosts:
        hosts.parts = [b'"a.b.c"']
        yield hosts


async def ask(hosted: Hosted, target: str | None = None, **how: Any) -> httpx.Response:
    headers = {} if target is None else {"x-fal-target-url": target}
    headers |= how.pop("headers", {})
    async with httpx.AsyncClient(trust_env=False, timeout=60) as client:
        return await client.post(f"{hosted.http}/api/fal", headers=headers, **how)


@pytest.mark.parametrize("body", [b'"a.b.c"', b'{"token":"a.b.c"}', b"a.b.c"])
async def test_the_page_gets_a_token_for_the_app_whatever_it_asks_for(
    body: bytes, fal: FalHosts
) -> None:
    fal.parts = [body]
    async with serving_fal(fal.origin, token_expiration=77) as hosted:
        asked = {"allowed_apps": ["another"], "token_expiration": 86400}
        answer = await ask(hosted, json=asked)
    assert answer.status_code == 200 and answer.json() == {"token": "a.b.c"}
    (request,) = fal.asked
    assert (request.method, request.path) == ("POST", "/tokens/")
    assert request.headers["authorization"] == f"Key {FAL_KEY}"
    assert json.loads(request.body) == {"allowed_apps": ["krea-wan-14b"], "token_expiration": 77}


async def test_an_sdk_gets_one_as_fal_answers_it_and_no_longer_than_the_page(
    fal: FalHosts,
) -> None:
    async with serving_fal(fal.origin) as hosted:
        for asked, life in ((60, 60), (5000, 300)):
            body = {"allowed_apps": ["krea-wan-14b"], "token_expiration": asked}
            assert (await ask(hosted, MINT, json=body)).json() == "a.b.c"
            assert json.loads(fal.asked[-1].body)["token_expiration"] == life


async def test_the_newer_mint_of_fals_is_answered_as_it_answers(fal: FalHosts) -> None:
    async with serving_fal(fal.origin) as hosted:
        answer = await ask(hosted, f"{MINT}realtime", json={"app": f"{APP}/ws", "duration": 60})
        assert answer.status_code == 201 and answer.json() == {"token": "a.b.c"}
        asked = json.loads(fal.asked[-1].body)
        assert asked == {"allowed_apps": ["krea-wan-14b"], "token_expiration": 60}
        answer = await ask(hosted, f"{MINT}realtime", json={"app": "fal-ai/flux"})
        assert answer.status_code == 403 and len(fal.asked) == 1


@pytest.mark.parametrize("apps", [["flux"], ["krea-wan-14b", "flux"]])
async def test_an_sdk_gets_none_for_another_app(apps: list[str], fal: FalHosts) -> None:
    async with serving_fal(fal.origin) as hosted:
        answer = await ask(hosted, MINT, json={"allowed_apps": apps})
        assert answer.status_code == 403 and "krea-wan-14b alone" in told(answer)
        assert (await ask(hosted, MINT, content=b"{")).status_code == 422
    assert fal.asked == []


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b"no", "refuses the key"),
        (403, b'{"detail":"locked"}', "refuses the key"),
        (500, b"oops", "HTTP 500"),
        (302, b"", "HTTP 302"),
        (200, b"<html>", "without a token"),
        (200, b"x" * 70_000, "cannot be reached"),
    ],
)
async def test_what_hinders_fal_is_said_in_words_without_the_key(
    status: int, body: bytes, says: str, fal: FalHosts
) -> None:
    """Never with 401 or 403: those would make the page ask for a key of this server's."""
    fal.status, fal.parts, fal.headers = status, [body], {"location": "https://evil.example/"}
    async with serving_fal(fal.origin) as hosted:
        answer = await ask(hosted)
    assert answer.status_code == 502 and says in told(answer)
    assert FAL_KEY not in answer.text and len(fal.asked) == 1


async def test_without_a_network_the_page_is_told() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with serving_fal(f"http://127.0.0.1:{unused.getsockname()[1]}") as hosted:
            answer = await ask(hosted)
    assert answer.status_code == 502 and "cannot be reached" in told(answer)


async def test_an_address_asks_for_so_many_tokens_a_minute_however_it_asks(fal: FalHosts) -> None:
    headers = {"x-forwarded-for": "203.0.113.9"}
    body = {"allowed_apps": ["krea-wan-14b"]}
    async with serving_fal(fal.origin, caller_tokens=2) as hosted:
        codes = [
            (await ask(hosted, target, json=body, headers=headers)).status_code
            for target in (MINT, None, MINT, None)
        ]
    assert codes == [200, 200, 429, 429]
    assert len(fal.asked) == 2


async def test_a_key_of_this_server_cannot_be_guessed(fal: FalHosts) -> None:
    """Also not through the proxy, which has no such limit of its own."""
    guess = {"x-forwarded-for": "203.0.113.9", "authorization": "Key guess"}
    target = f"https://fal.run/{APP}"
    limits = {"caller_tokens": 2}
    async with serving_fal(fal.origin, host="0.0.0.0", auth="jwt", key=KEY, **limits) as hosted:
        codes = [(await ask(hosted, target, headers=guess)).status_code for _ in range(3)]
    assert codes == [403, 403, 429]


async def test_the_pages_address_opens_the_mint_where_others_can_connect(fal: FalHosts) -> None:
    """Its token is this server's own: fal's is handed out for it, and it is none for fal."""
    secret = "a secret of more than thirty-two bytes"
    async with serving_fal(fal.origin, host="0.0.0.0", auth="jwt", secret=secret) as hosted:
        assert (await ask(hosted)).status_code == 403
        token = jwt.encode(
            {"allowed_apps": ["krea-wan-14b"], "iat": 0, "exp": 2**40}, secret, algorithm="HS256"
        )
        answer = await ask(hosted, headers={"authorization": f"Bearer {token}"})
        assert answer.json() == {"token": "a.b.c"}


async def test_a_websocket_is_told_that_streams_are_at_fal(fal: FalHosts) -> None:
    async with (
        serving_fal(fal.origin, socket_origin="wss://fal.run") as hosted,
        opened(f"ws://127.0.0.1:{hosted.port}/ws") as viewer,
    ):
        received = await viewer.end()
    (said,) = received.texts
    assert said["error"] == "BAD_MESSAGE"
    assert f"wss://fal.run/{APP}/ws" in said["reason"]


async def test_its_health_and_its_counts_can_be_asked_for(fal: FalHosts) -> None:
    async with (
        serving_fal(fal.origin) as hosted,
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
    ):
        assert (await client.get(f"{hosted.http}/health")).json() == {"ready": True, "fal": APP}
        counts = await client.get(f"{hosted.http}/metrics")
        assert "framewire_refusals_total" in counts.text
        evil = {"host": "evil.example"}
        assert (await client.get(f"{hosted.http}/health", headers=evil)).status_code == 403


async def test_pages_of_the_listed_origins_read_tokens_and_no_others_do(fal: FalHosts) -> None:
    async with serving_fal(fal.origin, origins="https://app.example") as hosted:
        answer = await ask(hosted, headers={"origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.json() == {"token": "a.b.c"}
        answer = await ask(hosted, headers={"origin": "https://evil.example"})
        assert answer.status_code == 403
        assert "access-control-allow-origin" not in answer.headers
