"""A server that never stops is left, and said to be one."""

import asyncio

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve

from framewire.client.check import raw_socket
from framewire.client.check.raw_socket import RawSocket
from framewire.protocol.steering import BlockShape


@pytest.mark.parametrize("limit", ["_MOST_MESSAGES", "_MOST_BYTES", "_MOST_SECONDS"])
async def test_what_has_no_end_is_left(limit: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def without_end(socket: ServerConnection) -> None:
        await socket.recv()
        while True:
            await socket.send(b"\xff\xd8 frame")
            await asyncio.sleep(0)

    monkeypatch.setattr(raw_socket, limit, 20)
    if limit == "_MOST_SECONDS":
        monkeypatch.setattr(raw_socket, limit, 0.2)
    async with (
        asyncio.timeout(90),
        serve(without_end, "127.0.0.1", 0) as server,
        connect(f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}") as socket,
    ):
        listening = RawSocket(socket, lambda _: None, BlockShape(6, 12))
        await listening.say({"prompt": "a"})
        seen = await listening.until(lambda _: False, 60)
    assert seen.ending == "endless"
    assert seen.told() == f"{len(seen.messages)} messages came, and no end"
