"""fal's own Python client against the worker, unchanged but for the host that it looks for."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from typing import Any

import fal_client
import msgpack
import pytest
import websockets
from fal_client import client as fal
from support.servers.worker_server import Running, serving
from support.viewers.raw_viewer import READY, SMALL

SECRET = "a secret of more than thirty-two bytes"
KEY = "key-id:key-secret"
APP = "fal-ai/krea-wan-14b"


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    """A worker with tokens, where fal's client looks for fal."""
    async with serving(auth="jwt", secret=SECRET, key=KEY) as running:
        monkeypatch.setattr(fal, "REALTIME_URL_FORMAT", f"ws://127.0.0.1:{running.port}/")
        monkeypatch.setattr(fal, "REST_URL", running.http)
        for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY"):
            monkeypatch.delenv(name, raising=False)
        yield running


@asynccontextmanager
async def fals_client(key: str = KEY) -> AsyncIterator[fal_client.AsyncClient]:
    """fal's client, which has no way of its own to close what it opened."""
    client = fal_client.AsyncClient(key=key)
    yield client
    await (await client._client).aclose()


def params(**values: Any) -> dict[str, Any]:
    return {"prompt": "a lighthouse", "num_blocks": 2, "seed": 7} | SMALL | values


@pytest.mark.parametrize("use_jwt", [True, False])
@pytest.mark.parametrize(("app", "path"), [(APP, "/ws"), (f"{APP}/ws", "")])
async def test_ws_connect_streams_with_a_minted_token_and_with_the_key(
    worker: Running, use_jwt: bool, app: str, path: str
) -> None:
    async with (
        fals_client() as client,
        client.ws_connect(app, path=path, use_jwt=use_jwt) as socket,
    ):
        assert await socket.recv() == READY
        await socket.send(msgpack.packb(params()))
        messages = [await asyncio.wait_for(socket.recv(), 60) for _ in range(19)]
    assert all(isinstance(m, bytes) and m.startswith(b"\xff\xd8") for m in messages[:18])
    assert isinstance(messages[18], str) and '"completed"' in messages[18]


async def test_the_blocking_ws_connect_streams_as_well(worker: Running) -> None:
    def stream() -> list[str | bytes]:
        client = fal_client.SyncClient(key=KEY)
        with client.ws_connect(APP, path="/ws") as socket, closing(client._client):
            assert socket.recv(timeout=60) == READY
            socket.send(msgpack.packb(params()))
            return [socket.recv(timeout=60) for _ in range(19)]

    messages = await asyncio.to_thread(stream)
    assert len([message for message in messages if isinstance(message, bytes)]) == 18


async def test_realtime_streams_where_it_is_told_how_to_read_frames(worker: Running) -> None:
    async with (
        fals_client() as client,
        client.realtime(
            APP, path="/ws", decode_message=lambda data: {"jpeg": bytes(data)}
        ) as connection,
    ):
        assert await connection.recv() == {"status": "ready"}
        await connection.send(params())
        answers = [await asyncio.wait_for(connection.recv(), 60) for _ in range(19)]
    assert all(answer["jpeg"].startswith(b"\xff\xd8") for answer in answers[:18])
    assert answers[18]["status"] == "completed"


async def test_realtime_reads_envelopes_without_being_told_anything(worker: Running) -> None:
    async with fals_client() as client, client.realtime(APP, path="/ws") as connection:
        assert await connection.recv() == {"status": "ready"}
        await connection.send(params(fmt="msgpack"))
        answers = [await asyncio.wait_for(connection.recv(), 60) for _ in range(19)]
    assert [answer["index"] for answer in answers[:18]] == list(range(18))


async def test_realtime_by_its_own_path_streams_with_nothing_said(worker: Running) -> None:
    """`realtime(APP)` opens `/OWNER/ALIAS/realtime`, and reads every message as msgpack."""
    async with fals_client() as client, client.realtime(APP) as connection:
        assert await connection.recv() == {"status": "ready"}
        await connection.send(params())
        answers = [await asyncio.wait_for(connection.recv(), 60) for _ in range(19)]
    assert [answer["index"] for answer in answers[:18]] == list(range(18))
    assert all(answer["image"].startswith(b"\xff\xd8") for answer in answers[:18])
    assert answers[18]["status"] == "completed"


async def test_realtime_paths_send_bare_frames_to_who_asks_for_them(worker: Running) -> None:
    url = f"ws://127.0.0.1:{worker.port}/realtime?fmt=jpeg"
    headers = {"Authorization": f"Key {KEY}"}
    async with websockets.connect(url, additional_headers=headers, proxy=None) as socket:
        assert await socket.recv() == READY
        await socket.send(msgpack.packb(params()))
        assert (await asyncio.wait_for(socket.recv(), 60)).startswith(b"\xff\xd8")


async def test_realtime_raises_our_errors_as_its_own(worker: Running) -> None:
    async with fals_client() as client, client.realtime(APP, path="/ws") as connection:
        assert await connection.recv() == {"status": "ready"}
        await connection.send(params(width=63))
        with pytest.raises(fal.RealtimeError) as raised:
            await connection.recv()
        assert "width" in str(raised.value)
        await connection.send(params(fmt="msgpack", num_blocks=1))
        assert (await asyncio.wait_for(connection.recv(), 60))["index"] == 0


async def test_a_wrong_key_is_the_clients_own_error(worker: Running) -> None:
    async with fals_client("wrong:key") as client:
        with pytest.raises(fal.FalClientHTTPError) as raised:
            async with client.ws_connect(APP, path="/ws"):
                raise AssertionError("got in")
    assert raised.value.status_code == 401
    async with (
        fals_client("wrong:key") as client,
        client.ws_connect(APP, path="/ws", use_jwt=False) as socket,
    ):
        assert "UNAUTHORIZED" in str(await socket.recv())
        with pytest.raises(websockets.ConnectionClosedError) as closed:
            await socket.recv()
        assert closed.value.rcvd is not None and closed.value.rcvd.code == 1008


async def test_a_token_for_another_app_does_not_open_this_one(worker: Running) -> None:
    async with fals_client() as client, client.ws_connect("fal-ai/flux", path="/ws") as socket:
        assert "UNAUTHORIZED" in str(await socket.recv())
