"""A Starlette websocket as a session sees it: whole messages in and out, and two ways to end.

The one file that knows both the session's idea of a socket and the web framework's.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

ABORT_EXTENSION = "framewire.abort"
CLOSE_SECONDS = 5.0


class Disconnected(Exception):
    """The viewer has gone."""


class ViewerSocket(Protocol):
    """What a session needs of a socket that was accepted already."""

    async def receive(self) -> bytes | str: ...

    async def send(self, data: bytes | str) -> None: ...

    async def close(self, code: int, reason: str) -> None: ...

    def abort(self) -> None: ...


class StarletteSocket:
    """`ViewerSocket` over an accepted Starlette websocket."""

    def __init__(self, websocket: WebSocket) -> None:
        self._websocket = websocket

    async def receive(self) -> bytes | str:
        """The next message.

        Raises:
            Disconnected: there will be none.
        """
        try:
            message = await self._websocket.receive()
        except RuntimeError as error:
            raise Disconnected from error
        if message["type"] == "websocket.disconnect":
            raise Disconnected
        data: bytes | None = message.get("bytes")
        return str(message["text"]) if data is None else data

    async def send(self, data: bytes | str) -> None:
        """Send one message; waits while the viewer does not read.

        Raises:
            Disconnected: the viewer has gone.
        """
        try:
            if isinstance(data, str):
                await self._websocket.send_text(data)
            else:
                await self._websocket.send_bytes(data)
        except (WebSocketDisconnect, RuntimeError) as error:
            raise Disconnected from error

    async def close(self, code: int, reason: str) -> None:
        """Close with a code; nothing happens where it is closed already."""
        if self._websocket.client_state is WebSocketState.DISCONNECTED:
            return
        try:
            async with asyncio.timeout(CLOSE_SECONDS):  # it waits where the viewer does not read
                await self._websocket.close(code, reason.encode()[:120].decode(errors="ignore"))
        except (WebSocketDisconnect, RuntimeError, TimeoutError):
            self.abort()

    def abort(self) -> None:
        """Drop the connection without a handshake: for a viewer that does not read."""
        extensions = self._websocket.scope.get("extensions") or {}
        if ABORT_EXTENSION in extensions:
            extensions[ABORT_EXTENSION]()
