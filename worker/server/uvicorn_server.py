"""The life of a worker process: listen, serve, drain on a signal, exit.

uvicorn does the work; here is what it lacks: a drain before the shutdown, tokens kept out of its
log, bounded socket buffers, time limits for requests, and a way to drop a viewer that does not read.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from asyncio.transports import BaseTransport
from collections.abc import Callable
from contextlib import ExitStack, suppress
from types import FrameType

import h11
import uvicorn
from fastapi import FastAPI
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.http11 import Request

from framewire.protocol import MAX_MESSAGE_BYTES
from framewire.worker.config import Config
from framewire.worker.runtime.worker import Worker

from .websocket import ABORT_EXTENSION

logger = logging.getLogger(__name__)

SEND_BUFFER_BYTES = 256 * 1024
SHUTDOWN_SECONDS = 1
LINGER_SECONDS = 2.0
QUIET_SECONDS = 0.2
HEAD_SECONDS = 10.0
BODY_SECONDS = 60.0
"""For the first line and headers of a request to come, and from then on for its body."""
_SECRET = re.compile(
    r"((?:fal_jwt_token|token|key)=)[^&\s\"']+|(authorization: *).*|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?",
    re.IGNORECASE,
)


class RedactTokens(logging.Filter):
    """Takes tokens and keys out of URLs and headers before a line is written."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = _SECRET.sub(r"\1\2…", message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        return True


class HttpProtocol(H11Protocol):
    """uvicorn's HTTP with a time limit for requests: it would wait for one for ever."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._watch()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._watch()

    def _watch(self) -> None:
        self.loop.call_later(HEAD_SECONDS, self._head_is_due, self.cycle)

    def _head_is_due(self, before: object) -> None:
        if self.transport.is_closing() or self.transport.get_protocol() is not self:
            return
        if self.cycle is before:
            self.transport.abort()
        elif self.conn.their_state is h11.SEND_BODY:
            self.loop.call_later(BODY_SECONDS, self._body_is_due, self.cycle)

    def _body_is_due(self, cycle: object) -> None:
        if self.cycle is cycle and self.conn.their_state is h11.SEND_BODY:
            self.transport.abort()


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """uvicorn's websocket with small kernel buffers (stale video), an abort and a kinder end."""

    _linger_until = 0.0
    _heard_at = 0.0

    def connection_made(self, transport: BaseTransport) -> None:
        super().connection_made(transport)
        opened = transport.get_extra_info("socket")
        if opened is not None and opened.family != socket.AF_UNIX:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        if hasattr(self, "scope"):
            self.scope["extensions"][ABORT_EXTENSION] = self.transport.abort  # type: ignore[assignment]

    def handle_parser_exception(self) -> None:
        """Say why (too large, say) and read on for a moment, dropping what comes.

        A socket that is closed with data unread resets the connection, and a viewer that is still
        sending would never see the close code.
        """
        close = self.conn.close_sent
        if close is None:
            self.transport.close()
        if self.close_sent or close is None:
            return
        self.queue.put_nowait(
            {"type": "websocket.disconnect", "code": close.code, "reason": close.reason}
        )
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        if self.read_paused:
            self.read_paused = False
            self.transport.resume_reading()
        self._linger_until = self.loop.time() + LINGER_SECONDS
        self._linger()

    def keepalive_timeout(self) -> None:
        """Cut a viewer that is silent, but not one whose pong waits unread behind its pictures."""
        if self.read_paused or self._heard_at > self.ping_sent_at:
            self.pong_timer = self.pending_ping_payload = None
            self.schedule_ping()
        else:
            super().keepalive_timeout()

    def data_received(self, data: bytes) -> None:
        self._heard_at = self.loop.time()
        if self._linger_until:
            self._linger()
        else:
            super().data_received(data)

    def _linger(self) -> None:
        if self.close_timer is not None:
            self.close_timer.cancel()
        quiet = min(self._linger_until, self.loop.time() + QUIET_SECONDS)
        self.close_timer = self.loop.call_at(quiet, self.transport.close)


def bind(config: Config) -> list[socket.socket]:
    """The addresses to serve at, bound before a model is loaded; nobody can connect yet.

    Raises:
        OSError: a server listens there, the host has no address of this machine's, or the port
            is not for this user.
    """
    found = socket.getaddrinfo(
        config.host, config.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    with ExitStack() as failing:
        bound = []
        for family, kind, protocol, _, address in found:
            one = failing.enter_context(socket.socket(family, kind, protocol))
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            if family == socket.AF_INET6:
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
            one.bind(address)
            bound.append(one)
        failing.pop_all()
    return bound


class Server(uvicorn.Server):
    """uvicorn's server with our drain in front of its shutdown.

    Args:
        on_listening: told the bound port once connections are accepted.
    """

    def __init__(self, config: Config, app: FastAPI, on_listening: Callable[[int], None]) -> None:
        super().__init__(
            uvicorn.Config(
                app,
                host=config.host,
                port=config.port,
                http=HttpProtocol,
                ws=WebSocketProtocol,
                ws_max_size=MAX_MESSAGE_BYTES,
                ws_per_message_deflate=False,
                ws_ping_interval=20,
                ws_ping_timeout=60,
                timeout_graceful_shutdown=SHUTDOWN_SECONDS,
                ssl_keyfile=config.ssl_keyfile or None,
                ssl_certfile=config.ssl_certfile or None,
                log_config=None,
                access_log=False,
                lifespan="on",
            )
        )
        self._app = app
        self._on_listening = on_listening
        self._starting: asyncio.Task[None] | None = None
        self._drain: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._starting = asyncio.create_task(super().startup(sockets))
        try:
            await self._starting
        except asyncio.CancelledError:
            logger.info("stopped before it was ready")
            logging.getLogger("uvicorn.error").disabled = True  # it would show a failed load
            raise SystemExit(0) from None
        if self.started and self.servers:
            self._on_listening(self.servers[0].sockets[0].getsockname()[1])

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """First signal: drain, then exit; while a model loads, just exit. Second: exit now."""
        if self._drain is not None:
            self.should_exit = self.force_exit = True
            return
        asyncio.get_running_loop().call_soon_threadsafe(self.begin_drain)

    def begin_drain(self) -> None:
        if not self.started and self._starting is not None:
            self._starting.cancel()
        elif self._drain is None:
            self._drain = asyncio.create_task(self._drain_and_exit())

    async def _drain_and_exit(self) -> None:
        worker: Worker = self._app.state.worker
        logger.info("draining: %d connections", len(worker.connections))
        with suppress(TimeoutError):  # uvicorn's part of the shutdown is within the grace as well
            async with asyncio.timeout(max(0.0, worker.config.grace - SHUTDOWN_SECONDS)):
                await worker.drain()
        self.should_exit = True
