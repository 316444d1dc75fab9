"""A web framework's websocket as sessions use it, where what stands in front of it fails."""

from collections.abc import MutableMapping
from typing import Any

import pytest
from starlette.websockets import WebSocket

from framewire.worker.server.starlette_socket import StarletteSocket
from framewire.worker.sessions.viewer_socket import Disconnected


class FrontDied(Exception):
    """What a proxy in another process might raise."""


async def test_a_front_that_has_died_is_a_viewer_who_has_gone(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not a stream that failed, which its viewer would be told of where the front still says that."""
    coming: list[MutableMapping[str, Any]] = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": "a"},
    ]

    async def receive() -> MutableMapping[str, Any]:
        if not coming:
            raise FrontDied
        return coming.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None: ...

    websocket = WebSocket({"type": "websocket"}, receive, send)
    await websocket.accept()
    socket = StarletteSocket(websocket)
    assert await socket.receive() == "a"
    with pytest.raises(Disconnected):
        await socket.receive()
    assert "a viewer's connection failed: FrontDied" in caplog.text
