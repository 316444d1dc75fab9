"""The worker over HTTP and websockets: routes, tokens, and who is turned away with which words."""

import asyncio
import time
from typing import Any

import httpx
import jwt
import pytest
from support.servers.worker_server import PATIENCE, Running, serving
from support.viewers.raw_viewer import SMALL, Closed, connected, opened, streamed

from framewire.worker.server.app import TOKEN_REQUEST_BYTES

SECRET = "a secret of more than thirty-two bytes"
KEY = "key-id:key-secret"
ALIAS = "krea-wan-14b"
JWT = {"auth": "jwt", "secret": SECRET, "key": KEY}
EVIL = "https://evil.example"


def token(secret: str = SECRET, **claims: Any) -> str:
    now = int(time.time())
    return jwt.encode({"allowed_apps": [ALIAS], "iat": now, "exp": now + 60} | claims, secret)


async def post(worker: Running, path: str, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=60) as client:
        return await client.post(path, **request)


async def get(worker: Running, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=60) as client:
        return await client.get(path)


async def turned_away(url: str, **options: Any) -> tuple[Any, str, int]:
    """The error, its reason and the close code that a viewer gets instead of ready."""
    async with opened(url, **options) as viewer:
        said, closed = await viewer.next(), await viewer.next()
        assert said["type"] == "x-fal-error" and isinstance(closed, Closed)
        assert closed.reason == said["reason"][:120]
        return said["error"], said["reason"], closed.code


async def test_health_says_what_the_worker_is_doing() -> None:
    async with serving(max_sessions=3) as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=10**6, fps=50, **SMALL)
        await viewer.frame()
        answer = await get(worker, "/health")
        assert answer.status_code == 200
        assert answer.json() == {
            "ready": True, "draining": False, "sessions": 1, "waiting": 0, "connections": 1,
            "max_sessions": 3, "backend": "testcard",
        }  # fmt: skip
        worker.inside.draining.set()
        draining = await get(worker, "/health")
        assert draining.status_code == 503
        assert draining.json()["draining"] and not draining.json()["ready"]


async def test_metrics_count_what_went_over_the_wire() -> None:
    async with serving() as worker:
        frames = await streamed(worker.url, prompt="a", num_blocks=2)
        async with asyncio.timeout(PATIENCE):
            while worker.inside.connections:  # noqa: ASYNC110 - the first viewer is on its way out
                await asyncio.sleep(0.01)
        async with connected(worker.url) as viewer:
            await viewer.say(prompt="")
            await viewer.next()
            answer = await get(worker, "/metrics")
        assert answer.headers["content-type"].startswith("text/plain; version=")
        lines = dict(
            line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")
        )
        found = {name: float(value) for name, value in lines.items()}
    assert found["framewire_frames_total"] == len(frames) == 18
    assert found["framewire_blocks_total"] == 2
    assert found["framewire_connections"] == 1 and found["framewire_sessions"] == 0
    assert found['framewire_errors_total{code="BAD_PARAMS"}'] == 1
    assert found["framewire_bytes_sent_total"] > sum(map(len, frames))
    assert found["framewire_bytes_received_total"] > 20
    for stage in ("paint", "lane", "jpeg"):
        assert found[f'framewire_stage_seconds_count{{stage="{stage}"}}'] == 2
    for name in ("waiting", "pictures_total", "pictures_dropped_total"):
        assert found[f"framewire_{name}"] == 0


async def test_nothing_else_is_served() -> None:
    async with serving() as worker:
        for path in ("/docs", "/redoc", "/etc/passwd"):
            assert (await get(worker, path)).status_code == 404
        error, reason, code = await turned_away(worker.url + "/nowhere")
        assert (error, code) == ("BAD_MESSAGE", 1008) and "no stream at '/ws/nowhere'" in reason


async def test_tokens_are_minted_for_the_key_as_fal_does() -> None:
    body = {"allowed_apps": [ALIAS], "token_expiration": 5000}
    async with serving(**JWT) as worker:
        answer = await post(worker, "/tokens/", json=body, headers={"Authorization": f"Key {KEY}"})
        assert answer.status_code == 200 and isinstance(answer.json(), str)
        claims = jwt.decode(answer.json(), SECRET, algorithms=["HS256"])
        assert claims["allowed_apps"] == [ALIAS] and claims["exp"] - claims["iat"] == 5000
        frames = await streamed(
            f"{worker.url}?fal_jwt_token={answer.json()}", prompt="a", num_blocks=1
        )
        assert len(frames) == 6


@pytest.mark.parametrize("authorization", ["", "Key wrong", f"Basic {KEY}", "Key"])
async def test_nobody_mints_without_the_key(authorization: str) -> None:
    async with serving(**JWT) as worker:
        answer = await post(
            worker,
            "/tokens/",
            json={"allowed_apps": [ALIAS]},
            headers={"Authorization": authorization},
        )
        assert answer.status_code == 401 and KEY not in answer.text


@pytest.mark.parametrize(
    "body",
    [
        b"not json",
        b"{}",
        b"[]",
        b'{"allowed_apps": []}',
        b'{"allowed_apps": "krea-wan-14b"}',
        b'{"allowed_apps": ["a"], "token_expiration": 0}',
        b'{"allowed_apps": ["a"], "token_expiration": 99999999}',
        b"\xff\xfe",
    ],
)
async def test_a_mint_that_asks_for_nonsense_is_told_what_is_wrong(body: bytes) -> None:
    async with serving(**JWT) as worker:
        answer = await post(
            worker, "/tokens/", content=body, headers={"Authorization": f"Key {KEY}"}
        )
        assert answer.status_code == 422 and answer.json()["detail"]


async def test_a_mint_reads_no_more_than_a_request_for_a_token_takes() -> None:
    large = {"allowed_apps": ["a" * 128] * 16, "token_expiration": 60}
    key = {"Authorization": f"Key {KEY}"}
    async with serving(**JWT) as worker:
        assert (await post(worker, "/tokens/", json=large, headers=key)).status_code == 200
        padded = {"allowed_apps": [ALIAS], "padding": "x" * TOKEN_REQUEST_BYTES}
        assert (await post(worker, "/tokens/", json=padded, headers=key)).status_code == 413
        stranger = await post(worker, "/tokens/", json=padded)
        assert stranger.status_code == 401, "nothing is read for who has no key"


async def test_the_browsers_mint_fixes_app_and_life_and_keeps_the_key() -> None:
    async with serving(**JWT, token_expiration=77) as worker:
        answer = await post(
            worker,
            "/api/fal",
            json={"allowed_apps": ["everything"], "token_expiration": 10**6},
            headers={
                "Origin": f"http://localhost:{worker.port}",
                "Authorization": f"Key {KEY}",
            },
        )
        assert answer.status_code == 200 and set(answer.json()) == {"token"}
        claims = jwt.decode(answer.json()["token"], SECRET, algorithms=["HS256"])
        assert claims["allowed_apps"] == [ALIAS] and claims["exp"] - claims["iat"] == 77
        assert KEY not in answer.text


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Origin": "http://localhost:8000"},
        {"Origin": "http://127.0.0.1"},
        {"Authorization": "Key wrong", "Origin": "http://localhost:8000"},
        {"Authorization": f"Key {KEY}", "Origin": EVIL},
    ],
)
async def test_with_tokens_no_origin_stands_for_the_key_nor_the_key_for_an_origin(
    headers: dict[str, str],
) -> None:
    """A local reverse proxy that rewrites Host must not hand tokens to strangers."""
    async with serving(**JWT) as worker:
        answer = await post(worker, "/api/fal", headers=headers)
        assert answer.status_code == 403 and "token" not in answer.json()


@pytest.mark.parametrize("path", ["/health", "/metrics"])
async def test_what_the_worker_is_doing_is_told_to_no_rebound_name(path: str) -> None:
    async with serving() as worker, httpx.AsyncClient(trust_env=False, timeout=60) as client:
        for headers in ({"Host": "rebound.example"}, {"Origin": EVIL}):
            answer = await client.get(worker.http + path, headers=headers)
            assert answer.status_code == 403
        assert (await client.get(worker.http + path)).status_code == 200
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        writer.write(f"GET {path} HTTP/1.0\r\n\r\n".encode())  # as a balancer's check sends it
        assert (await asyncio.wait_for(reader.read(), PATIENCE)).split()[1] == b"200"
        writer.close()


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": EVIL},
        {"Origin": "null"},
        {"Host": "rebound.example"},
        {"Host": "[::1"},
        {"Host": "rebound.example", "Origin": "http://rebound.example"},
    ],
)
async def test_pages_of_other_sites_neither_mint_nor_connect_on_loopback(
    headers: dict[str, str],
) -> None:
    async with serving() as worker:
        assert (await post(worker, "/api/fal", headers=headers)).status_code == 403
        mint = await post(worker, "/tokens/", json={"allowed_apps": [ALIAS]}, headers=headers)
        assert mint.status_code == 401
        if "Host" not in headers:
            error, _, code = await turned_away(worker.url, origin=headers["Origin"])
            assert (error, code) == ("UNAUTHORIZED", 1008)


async def test_a_rebound_name_does_not_reach_the_websocket() -> None:
    async with serving() as worker:
        url = f"ws://rebound.example:{worker.port}/ws"
        error, reason, code = await turned_away(url, host="127.0.0.1")
        assert (error, code) == ("UNAUTHORIZED", 1008) and "rebound.example" in reason


async def test_a_page_that_the_owner_allows_connects() -> None:
    async with (
        serving(origins="https://app.example") as worker,
        connected(worker.url, origin="https://app.example"),
    ):
        pass


async def test_an_open_worker_mints_for_browsers_only_with_the_key() -> None:
    async with serving(**JWT, host="0.0.0.0") as worker:
        assert (await post(worker, "/api/fal")).status_code == 403
        headers = {"Authorization": f"Key {KEY}"}
        assert (await post(worker, "/api/fal", headers=headers)).status_code == 200
    async with serving(auth="platform", host="0.0.0.0") as worker:
        assert (await post(worker, "/api/fal")).status_code == 403
        assert (await post(worker, "/tokens/", json={"allowed_apps": [ALIAS]})).status_code == 401


@pytest.mark.parametrize("path", ["/ws", "/fal-ai/krea-wan-14b/ws", "/session/abc"])
async def test_no_token_no_stream_on_any_path(path: str) -> None:
    async with serving(**JWT) as worker:
        error, reason, code = await turned_away(worker.url.removesuffix("/ws") + path)
        assert (error, code) == ("UNAUTHORIZED", 1008) and "fal_jwt_token" in reason


async def test_each_bad_token_gets_its_reason_and_the_worker_lives_on() -> None:
    head, claims, signature = token().split(".")
    bad = {
        token(exp=int(time.time()) - 1): "expired",
        token(allowed_apps=["other"]): "not for krea-wan-14b",
        jwt.encode(
            {"allowed_apps": [ALIAS], "iat": 1, "exp": 2**40}, None, algorithm="none"
        ): "not valid",
        ".".join([head, claims[:-2] + "xx", signature]): "not valid",
        token(SECRET[::-1]): "not valid",
        "nonsense": "not valid",
    }
    async with serving(**JWT) as worker:
        for value, words in bad.items():
            for query, headers in (
                (f"?fal_jwt_token={value}", {}),
                ("", {"Authorization": f"Bearer {value}"}),
            ):
                error, reason, code = await turned_away(
                    worker.url + query, additional_headers=headers
                )
                assert (error, code) == ("UNAUTHORIZED", 1008)
                assert words in reason and value not in reason
        good = await streamed(f"{worker.url}?fal_jwt_token={token()}", prompt="a", num_blocks=1)
        assert len(good) == 6
        assert worker.inside.metrics.errors.labels("UNAUTHORIZED")._value.get() == 2 * len(bad)


@pytest.mark.parametrize("form", ["Bearer {token}", "bearer {token}", f"Key {KEY}"])
async def test_a_token_or_the_key_in_a_header_opens_it(form: str) -> None:
    async with (
        serving(**JWT) as worker,
        connected(worker.url, additional_headers={"Authorization": form.format(token=token())}),
    ):
        pass


async def test_another_app_in_the_path_is_a_bad_message() -> None:
    async with serving() as worker:
        url = worker.url.removesuffix("/ws") + "/fal-ai/another/ws"
        error, reason, code = await turned_away(url)
        assert (error, code) == ("BAD_MESSAGE", 1008) and ALIAS in reason


async def test_a_session_id_of_any_length_and_kind_is_taken() -> None:
    async with serving() as worker:
        for name in ("a", "x" * 500, "%00%0a", "%F0%9F%8E%A5"):
            async with opened(f"{worker.http.replace('http', 'ws')}/session/{name}") as viewer:
                assert (await viewer.next())["status"] == "ready"
                await viewer.say(prompt="a", num_blocks=1, **SMALL)
                assert len((await viewer.stream()).frames) == 6


async def test_more_connections_than_allowed_are_turned_away() -> None:
    async with serving(max_connections=1) as worker, connected(worker.url):
        error, reason, code = await turned_away(worker.url)
        assert (error, code) == ("AT_CAPACITY", 1013) and "1 connections" in reason


async def test_a_worker_that_shuts_down_says_so_at_the_door() -> None:
    async with serving() as worker:
        worker.inside.draining.set()
        error, reason, code = await turned_away(worker.url)
        assert (error, code) == ("AT_CAPACITY", 1012) and "shutting down" in reason


async def test_health_with_room_turns_red_when_full_and_plain_health_does_not() -> None:
    """By the one a balancer chooses where viewers go, by the other who can be asked at all."""
    async with (
        serving(max_sessions=1) as worker,
        httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=PATIENCE) as http,
    ):
        assert (await http.get("/health?room=1")).status_code == 200
        async with worker.inside.admission.place(None, lambda position: None):
            full, alive = await http.get("/health?room=1"), await http.get("/health")
            assert (full.status_code, alive.status_code) == (503, 200)
            assert full.json()["sessions"] == 1
        assert (await http.get("/health?room=1")).status_code == 200
        worker.inside.draining.set()
        assert (await http.get("/health?room=1")).status_code == 503
        assert (await http.get("/health")).status_code == 503


async def test_metrics_tell_places_and_seconds_a_block_by_preset() -> None:
    async with serving(max_sessions=3) as worker, connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=2, **SMALL)
        await viewer.stream()
        async with httpx.AsyncClient(
            base_url=worker.http, trust_env=False, timeout=PATIENCE
        ) as http:
            text = (await http.get("/metrics")).text
    assert "framewire_places 3.0" in text
    assert 'framewire_block_seconds_count{preset="testcard"} 2.0' in text


@pytest.mark.parametrize(("draining", "seconds"), [(False, 5), (True, 1)])
async def test_who_is_turned_away_is_told_when_to_come_back(draining: bool, seconds: int) -> None:
    async with serving(max_sessions=1, queue=0) as worker:
        if draining:
            worker.inside.draining.set()
        place = worker.inside.admission.place(None, lambda position: None)
        async with place, opened(worker.url) as viewer:
            if not draining:
                assert (await viewer.next())["status"] == "ready"
                await viewer.say(prompt="a", **SMALL)
            said = await viewer.next()
    assert (said["error"], said["retry_after"]) == ("AT_CAPACITY", seconds)
