"""The worker over HTTP and websockets: an ASGI app around one host.

Routes and their checks; what happens on an accepted socket is the session's.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.websockets import WebSocket

from framewire.protocol import (
    CLOSE_CODES,
    CloseCode,
    Connection,
    Error,
    ErrorCode,
    Role,
    TokenRequest,
)

from .auth import Gate, Unauthorized
from .backends.base import Backend
from .config import Config
from .host import Host
from .session import Session
from .viewer_socket import StarletteSocket

_TRUE = ("1", "true", "yes", "on")


def create_app(config: Config, backend: Backend) -> FastAPI:
    """The ASGI app of a worker. `backend` is loaded when the app starts up."""
    gate = Gate(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        host = app.state.host = Host(config, backend)
        await host.lane.run(backend.load)
        try:
            yield
        finally:
            await host.drain()
            host.close()

    app = FastAPI(title="framewire worker", lifespan=lifespan, docs_url=None, redoc_url=None)
    _add_status(app, config, backend)
    _add_tokens(app, config, gate)
    _add_websockets(app, config, gate)
    return app


def _add_status(app: FastAPI, config: Config, backend: Backend) -> None:
    @app.get("/health")
    async def health() -> JSONResponse:
        host: Host = app.state.host
        state = {
            "ready": host.ready,
            "draining": host.draining.is_set(),
            "sessions": host.admission.taken,
            "waiting": host.admission.waiting,
            "connections": len(host.connections),
            "max_sessions": config.max_sessions,
            "backend": backend.name,
        }
        return JSONResponse(state, status_code=200 if host.ready else 503)

    @app.get("/metrics")
    async def metrics() -> Response:
        host: Host = app.state.host
        return Response(host.metrics.text(), media_type=host.metrics.content_type)


def _add_tokens(app: FastAPI, config: Config, gate: Gate) -> None:
    async def requested(request: Request) -> TokenRequest:
        body = await request.body()
        try:
            return TokenRequest.model_validate_json(body)
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False, include_input=False)
            raise HTTPException(422, detail) from error

    @app.post("/tokens/")
    async def tokens(request: Request, authorization: Annotated[str, Header()] = "") -> Any:
        """fal's mint: a key in, a bare JSON string out."""
        try:
            gate.check_minter(authorization)
            gate.check_browser(request.headers.get("host", ""), request.headers.get("origin", ""))
        except Unauthorized as error:
            raise HTTPException(401, str(error)) from error
        return JSONResponse(gate.mint(await requested(request)))

    @app.post("/api/fal")
    async def browser_token(request: Request, authorization: Annotated[str, Header()] = "") -> Any:
        """The browser's mint: the key stays here, app and life are fixed."""
        try:
            gate.check_browser(request.headers.get("host", ""), request.headers.get("origin", ""))
            if not config.loopback:
                gate.check_minter(authorization)
        except Unauthorized as error:
            raise HTTPException(403, str(error)) from error
        grant = TokenRequest(allowed_apps=(config.alias,), token_expiration=config.token_expiration)
        return JSONResponse({"token": gate.mint(grant)})


def _add_websockets(app: FastAPI, config: Config, gate: Gate) -> None:
    async def serve(websocket: WebSocket, session_id: str | None, alias: str | None) -> None:
        await websocket.accept()
        viewer = StarletteSocket(websocket)
        refusal = _refusal(websocket, alias)
        if refusal is not None:
            error, close_code = refusal
            await viewer.send(Connection(Role.WORKER).send(error))
            await viewer.close(close_code, error.reason)
            return
        host: Host = websocket.app.state.host
        query = websocket.query_params
        session = Session(
            host,
            viewer,
            session_id=session_id,
            worker_name=socket.gethostname() if session_id else None,
            events=query.get("events", "").lower() in _TRUE,
            envelope=query.get("fmt") == "msgpack",
        )
        task = asyncio.current_task()
        assert task is not None
        host.connections.add(task)
        try:
            await session.run()
        finally:
            host.connections.discard(task)

    def _refusal(websocket: WebSocket, alias: str | None) -> tuple[Error, CloseCode] | None:
        """Why this socket is not served. Said after accepting: gateways hide a refused upgrade."""
        host: Host = websocket.app.state.host
        headers, query = websocket.headers, websocket.query_params
        code = ErrorCode.UNAUTHORIZED
        try:
            gate.check_browser(headers.get("host", ""), headers.get("origin", ""))
            gate.check_viewer(headers.get("authorization", ""), query.get("fal_jwt_token", ""))
        except Unauthorized as error:
            reason = str(error)
        else:
            code = ErrorCode.AT_CAPACITY
            if host.draining.is_set():
                reason = "the worker is shutting down: connect again"
                return Error(code=code, reason=reason), CloseCode.RESTART
            if len(host.connections) >= config.max_connections:
                reason = f"{config.max_connections} connections are open already"
            elif alias not in (None, config.alias):
                code = ErrorCode.BAD_MESSAGE
                reason = f"no app {alias!r} here: this worker serves {config.alias}"
            else:
                return None
        host.metrics.errors.labels(code).inc()
        return Error(code=code, reason=reason), CLOSE_CODES[code]

    @app.websocket("/ws")
    async def plain(websocket: WebSocket) -> None:
        await serve(websocket, None, None)

    @app.websocket("/{owner}/{alias}/ws")
    async def as_on_fal(websocket: WebSocket, owner: str, alias: str) -> None:
        await serve(websocket, None, alias)

    @app.websocket("/session/{session_id}")
    async def as_krea(websocket: WebSocket, session_id: str) -> None:
        await serve(websocket, session_id[:128], None)
