"""The door that every server shares: may this websocket in, and if so, a session serves it.

Knows the web framework's websocket and the rules; which URL leads here is the server's business.
"""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress

from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from framewire.protocol import CLOSE_CODES, CloseCode, Connection, Error, ErrorCode, Role
from framewire.worker.runtime.worker import Worker
from framewire.worker.sessions.session import Session
from framewire.worker.sessions.viewer_socket import Disconnected

from .auth import Gate, Unauthorized

ABORT_EXTENSION = "framewire.abort"
"""By this name in the ASGI scope a server offers to drop the connection."""
CLOSE_SECONDS = 5.0
_TRUE = ("1", "true", "yes", "on")


async def serve_websocket(
    worker: Worker,
    gate: Gate,
    websocket: WebSocket,
    *,
    session_id: str | None = None,
    alias: str | None = None,
    envelope: bool = False,
) -> None:
    """Accept a websocket, then serve a session on it or say why not. Returns when it is over.

    Args:
        session_id: given in the URL, for clients of Krea's own server.
        alias: the app that the URL names; None where it names none.
        envelope: send frames as msgpack maps unless the URL or the params say otherwise.
    """
    await websocket.accept()
    refusal = _refusal(worker, gate, websocket, alias)
    if refusal is not None:
        await refuse(worker, websocket, *refusal)
        return
    viewer = StarletteSocket(websocket)
    query = websocket.query_params
    session = Session(
        worker,
        viewer,
        session_id=session_id,
        worker_name=socket.gethostname() if session_id else None,
        events=query.get("events", "").lower() in _TRUE,
        envelope=query.get("fmt", "msgpack" if envelope else "jpeg") == "msgpack",
        browser=bool(websocket.headers.get("origin")),
    )
    async with worker.connected():
        await session.run()


async def refuse(
    worker: Worker, websocket: WebSocket, error: Error, close_code: CloseCode | None = None
) -> None:
    """Say why an accepted websocket is not served, and close it.

    Args:
        close_code: another than the one that fits the error.
    """
    worker.metrics.errors.labels(error.code).inc()
    viewer = StarletteSocket(websocket)
    with suppress(Disconnected):
        await viewer.send(Connection(Role.WORKER).send(error))
        await viewer.close(close_code or CLOSE_CODES[ErrorCode(error.code)], error.reason)


def _refusal(
    worker: Worker, gate: Gate, websocket: WebSocket, alias: str | None
) -> tuple[Error, CloseCode] | None:
    """Why this socket is not served. Said after accepting: gateways hide a refused upgrade."""
    config = worker.config
    headers, query = websocket.headers, websocket.query_params
    code = ErrorCode.UNAUTHORIZED
    try:
        gate.check_browser(headers.get("host", ""), headers.get("origin", ""))
        gate.check_viewer(headers.get("authorization", ""), query.get("fal_jwt_token", ""))
    except Unauthorized as error:
        reason = str(error)
    else:
        code = ErrorCode.AT_CAPACITY
        if worker.draining.is_set():
            reason = "the worker is shutting down: connect again"
            return Error(code=code, reason=reason), CloseCode.RESTART
        if len(worker.connections) >= config.max_connections:
            reason = f"{config.max_connections} connections are open already"
        elif alias not in (None, config.alias):
            code = ErrorCode.BAD_MESSAGE
            reason = f"no app {alias!r} here: this worker serves {config.alias}"
        else:
            return None
    return Error(code=code, reason=reason), CLOSE_CODES[code]


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
