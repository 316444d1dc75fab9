"""The life of a worker process: listen, serve, drain on a signal, exit.

uvicorn does the work; here is what it lacks: a drain before the shutdown, and listeners that bound
what comes in. What it lacks on a connection is in `http` and `websocket`, what its log must
not show in `logs.redact`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sized
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Any, Protocol

import uvicorn
from fastapi import FastAPI
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from framewire.protocol import MAX_MESSAGE_BYTES
from framewire.worker.config import Config
from framewire.worker.runtime.metrics import Metrics
from framewire.worker.server.doors.callers import Callers, Visit
from framewire.worker.server.doors.descriptors import raise_limit, room_for_sockets
from framewire.worker.server.doors.half_messages import HalfMessages
from framewire.worker.server.doors.listener import Listener
from framewire.worker.server.doors.refusals import Refusals

from .http import HttpProtocol
from .websocket import WebSocketProtocol

logger = logging.getLogger(__name__)

SHUTDOWN_SECONDS = 1
WAKE_SECONDS = 0.1


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
                # `::` is every address of this machine's, those of IPv4 too, whatever the system's
                # own default is; of a name, IPv4 addresses are bound beside.
                one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, config.host != "::")
            one.bind(address)
            bound.append(one)
        failing.pop_all()
    return bound


class Drained(Protocol):
    """What an app's `state.worker` is to its server."""

    @property
    def metrics(self) -> Metrics: ...

    @property
    def connections(self) -> Sized:
        """Those that are open."""

    async def drain(self) -> None:
        """Let each of them come to its end."""


class Server(uvicorn.Server):
    """uvicorn's server with our drain in front of its shutdown.

    Args:
        app: with a `Drained` in `state.worker`.
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
                forwarded_allow_ips=config.forwarded_allow_ips,
            )
        )
        self._settings = config
        self._app = app
        self._on_listening = on_listening
        self._starting: asyncio.Task[None] | None = None
        self._drain: asyncio.Task[None] | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        self._starting = asyncio.create_task(super().startup([]))
        while not self._starting.done():  # a signal that came between two waits is seen at the next
            await asyncio.wait([self._starting], timeout=WAKE_SECONDS)
        try:
            await self._starting
        except asyncio.CancelledError:
            logger.info("stopped before it was ready")
            logging.getLogger("uvicorn.error").disabled = True  # it would show a failed load
            raise SystemExit(0) from None
        if not self.started:
            return
        try:
            self._listen(bind(self._settings) if sockets is None else sockets)
        except OSError:
            await self.lifespan.shutdown()
            raise
        self._on_listening(self.servers[0].sockets[0].getsockname()[1])

    def _listen(self, sockets: list[socket.socket]) -> None:
        raise_limit()
        worker: Drained | None = getattr(self._app.state, "worker", None)
        metrics = Metrics() if worker is None else worker.metrics
        refusals = Refusals(metrics)
        app: Any = self._app
        trusted = ProxyHeadersMiddleware(app, self._settings.forwarded_allow_ips).trusted_hosts
        callers = Callers(
            self._settings, metrics, refusals, trusted.__contains__, room_for_sockets()
        )
        half_messages = HalfMessages(metrics, refusals)

        def protocol(visit: Visit) -> asyncio.Protocol:
            return HttpProtocol(
                self.config, self.server_state, self.lifespan.state, visit, half_messages
            )

        for bound in sockets:
            listener = Listener(bound, callers, refusals, protocol, self.config.ssl)
            self.servers.append(listener)  # type: ignore[arg-type]

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
        worker: Drained = self._app.state.worker
        logger.info("draining: %d connections", len(worker.connections))
        with suppress(TimeoutError):  # uvicorn's part of the shutdown is within the grace as well
            async with asyncio.timeout(max(0.0, self._settings.grace - SHUTDOWN_SECONDS)):
                await worker.drain()
        self.should_exit = True
