"""uvicorn's HTTP connection with time limits, and with the count of who is on it.

What a caller without a token can hold here, and for how long, is listed in this folder's README.
"""

from __future__ import annotations

import asyncio
import time
from functools import partial
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from framewire.worker.server.caller_limits import VISIT_EXTENSION
from framewire.worker.server.clips.events import CLOSE_EXTENSION
from framewire.worker.server.doors.callers import Visit
from framewire.worker.server.doors.half_messages import HalfMessages

from .websocket import WebSocketProtocol

HEAD_SECONDS = 10.0
"""From a connection's being accepted to the end of its first request's head; later heads as long."""
BODY_SECONDS = 60.0
"""From a head's end to its body's, unless the app has given it longer."""


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP with a time limit for requests: it would wait for one for ever."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        visit: Visit,
        half_messages: HalfMessages,
    ) -> None:
        super().__init__(config, server_state, app_state)
        self._visit = visit
        loaded_app = self.app

        async def app(scope: Any, receive: Any, send: Any) -> None:
            extensions = {VISIT_EXTENSION: visit, CLOSE_EXTENSION: self.transport.close}
            await loaded_app(scope | {"extensions": extensions}, receive, send)

        self.app = app
        self.ws_protocol_class = partial(  # type: ignore[assignment]
            WebSocketProtocol, visit=visit, half_messages=half_messages
        )

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.client = self._visit.client
        self._watch(HEAD_SECONDS - (time.monotonic() - self._visit.came_at))

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._visit.leave()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._visit.body_until = 0.0
        self._watch(HEAD_SECONDS)

    def _watch(self, seconds: float) -> None:
        self.loop.call_later(max(0.0, seconds), self._head_is_due, self.cycle)

    def _head_is_due(self, before: object) -> None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self.cycle is before:
            self.transport.abort()
        elif self.conn.their_state is h11.SEND_BODY:
            self.loop.call_later(BODY_SECONDS, self._body_is_due, self.cycle)

    def _body_is_due(self, cycle: object) -> None:
        if self.cycle is not cycle or self.conn.their_state is not h11.SEND_BODY:
            return
        left = self._visit.body_until - time.monotonic()
        if left > 0:  # who was let in may take longer
            self.loop.call_later(left, self._body_is_due, cycle)
        else:
            self.transport.abort()
