"""An accepted websocket of the web framework, as a session and who turns callers away use it.

Loads no model's libraries: a server without a model turns callers away, too.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from framewire.protocol import CLOSE_CODES, CloseCode, Connection, Error, ErrorCode, Role
from framewire.worker.runtime.metrics import Metrics
from framewire.worker.runtime.retry import retry_after
from framewire.worker.sessions.viewer_socket import Disconnected

logger = logging.getLogger(__name__)

ABORT_EXTENSION = "framewire.abort"
"""By this name in the ASGI scope a server offers to drop the connection."""
CLOSE_SECONDS = 5.0


async def refuse(
    metrics: Metrics, websocket: WebSocket, error: Error, close_code: CloseCode | None = None
) -> None:
    """Say why an accepted websocket is not served, and close it.

    Args:
        close_code: another than the one that fits the error.
    """
    metrics.errors.labels(error.code).inc()
    viewer = StarletteSocket(websocket)
    code = close_code or CLOSE_CODES[ErrorCode(error.code)]
    error = error.model_copy(update={"retry_after": retry_after(error.code, code)})
    with suppress(Disconnected):
        await viewer.send(Connection(Role.WORKER).send(error))
        await viewer.close(code, error.reason)


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
        except Exception as error:  # a front that has died raises errors of its own, as Ray's does
            logger.warning("a viewer's connection failed: %s", type(error).__name__)
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
