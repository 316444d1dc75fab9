"""The limits of an address over real sockets: who is counted, and how a refusal is told."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import httpx
import pytest
from support.servers.worker_server import Running, lane_held, serving
from support.viewers.raw_viewer import SMALL, Closed, connected, opened

from framewire.worker.server.doors import callers

PATIENCE = 60.0
KEY = "key-id:key-secret"
ONE, OTHER = "203.0.113.7", "203.0.113.8"


def by(*hosts: str) -> dict[str, str]:
    """The header of a proxy, which stands for its caller."""
    return {"X-Forwarded-For": ", ".join(hosts)}


async def is_let_in(url: str, **options: Any) -> bool:
    async with opened(url, **options) as viewer:
        said = await viewer.next()
        if said.get("status") == "ready":
            return True
        closed = await viewer.next()
        assert (said["type"], said["error"]) == ("x-fal-error", "AT_CAPACITY")
        assert isinstance(closed, Closed) and closed.code == 1013 and "sockets" in closed.reason
        return False


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 (a count tells nobody)
            await asyncio.sleep(0.01)


async def refusals(worker: Running) -> dict[str, float]:
    """By reason, as `/metrics` has them; asked by this machine, which no limit holds."""
    async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
        lines = (await client.get(f"{worker.http}/metrics")).text.splitlines()
    named = [line.partition('framewire_refusals_total{reason="')[2] for line in lines]
    found = {line.split('"')[0]: float(line.split()[-1]) for line in named if line}
    return {reason: count for reason, count in found.items() if count}


async def test_websockets_of_a_forwarded_address_are_bounded_and_told_so_in_words() -> None:
    async with serving(caller_sockets=2) as worker, AsyncExitStack() as held:
        for _ in range(2):
            await held.enter_async_context(
                connected(worker.url, additional_headers=by("198.51.100.1", ONE))
            )
        forged = by(OTHER, ONE)  # what the caller wrote itself stands on the left
        assert not await is_let_in(worker.url, additional_headers=forged)
        assert await is_let_in(worker.url, additional_headers=by(OTHER))
        assert await is_let_in(worker.url)
        assert await refusals(worker) == {"sockets": 1}
        await held.aclose()
        async with asyncio.timeout(PATIENCE):
            while not await is_let_in(worker.url, additional_headers=by(ONE)):  # noqa: ASYNC110
                await asyncio.sleep(0.01)


async def test_a_proxy_that_comes_by_ipv4_to_a_socket_for_both_families_is_known() -> None:
    both = {"host": "::", "auth": "jwt", "key": KEY, "caller_sockets": 1}
    headers = by(ONE) | {"Authorization": f"Key {KEY}"}
    async with serving(**both) as worker, connected(worker.url, additional_headers=headers):
        assert not await is_let_in(worker.url, additional_headers=headers)


async def test_what_an_untrusted_peer_says_of_its_caller_is_not_believed() -> None:
    async with (
        serving(caller_sockets=1, forwarded_allow_ips="192.0.2.1") as worker,
        connected(worker.url, additional_headers=by(ONE)),
    ):
        assert await is_let_in(worker.url, additional_headers=by(ONE))


async def test_tokens_are_bounded_before_a_key_is_looked_at() -> None:
    async with (
        serving(auth="jwt", key=KEY, caller_tokens=3) as worker,
        httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=PATIENCE) as client,
    ):
        answers = []
        for path in ("/tokens/", "/api/fal") * 2:
            answers.append(await client.post(path, headers=by(ONE)))
        assert [answer.status_code for answer in answers] == [401, 403, 401, 429]
        assert answers[-1].headers["retry-after"] and "3 tokens" in answers[-1].json()["detail"]
        key = {"Authorization": f"Key {KEY}"}
        body = {"allowed_apps": ["krea-wan-14b"]}
        for headers in (by(OTHER), {}):
            answer = await client.post("/tokens/", headers=headers | key, json=body)
            assert answer.status_code == 200
        assert await refusals(worker) == {"tokens": 1}


async def test_clips_are_bounded_and_their_url_has_the_scheme_that_the_proxy_was_asked_by() -> None:
    body = {"prompt": "a", "num_frames": 18, "width": 64, "height": 64}
    async with (
        serving(caller_clips=1) as worker,
        httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=60) as client,
    ):

        async def ask(headers: dict[str, str]) -> httpx.Response:
            return await client.post("/text-to-video", headers=headers, json=body)

        async with asyncio.TaskGroup() as group, lane_held(worker.inside):
            first = group.create_task(ask(by(ONE) | {"X-Forwarded-Proto": "https"}))
            await until(lambda: bool(worker.inside.admission.taken))
            second = await ask(by(ONE))
            assert second.status_code == 429 and second.headers["retry-after"]
        assert first.result().status_code == 200
        assert first.result().json()["video"]["url"].startswith("https://127.0.0.1:")
        assert (await ask(by(ONE))).json()["video"]["url"].startswith("http://")
        assert await refusals(worker) == {"clips": 1}


@pytest.fixture
def from_afar(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """This machine is one like any other: with it, peers of loopback are counted."""
    monkeypatch.setattr(callers, "is_loopback", lambda host: False)
    return {"forwarded_allow_ips": "192.0.2.1"}


async def test_handshakes_of_an_address_are_closed_where_they_are_too_many(
    from_afar: dict[str, str],
) -> None:
    async with serving(caller_handshakes=2, **from_afar) as worker:
        silent = [await asyncio.open_connection("127.0.0.1", worker.port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        async with asyncio.timeout(PATIENCE):
            assert await reader.read() == b"", "closed without a word"
        writer.close()
        for _, held in silent:
            held.close()
        await until(lambda: not worker.inside.metrics.sockets._value.get())
        async with connected(worker.url), connected(worker.url), connected(worker.url) as viewer:
            await viewer.say(prompt="a", num_blocks=1, **SMALL)
            assert len((await viewer.stream()).frames) == 6
            assert await refusals(worker) == {"handshakes": 1}


async def test_sockets_of_an_address_are_refused_in_words_where_they_are_too_many(
    from_afar: dict[str, str],
) -> None:
    async with (
        serving(caller_sockets=1, **from_afar) as worker,
        connected(worker.url),
        httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client,
    ):
        assert not await is_let_in(worker.url)
        answer = await client.post(f"{worker.http}/video-to-video", content=bytes(3_000_000))
        assert answer.status_code == 429 and "sockets" in answer.json()["detail"]
