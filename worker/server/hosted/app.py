"""The ASGI app of `serve --fal`: the page, tokens, and the proxy of fal's SDKs. It has no model."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sized
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy

import httpx
from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from framewire.protocol import Error, ErrorCode
from framewire.worker.config import Config
from framewire.worker.runtime.metrics import Metrics
from framewire.worker.server.auth import Gate, Unauthorized
from framewire.worker.server.caller_limits import CallerLimits, too_many
from framewire.worker.server.doors.refusals import Refused
from framewire.worker.server.listed_pages import let_pages_read
from framewire.worker.server.page.description import Description, suggestions
from framewire.worker.server.page.routes import add_page
from framewire.worker.server.starlette_socket import refuse

from .fal import Fal
from .routes import add_fal_routes

KREAS_DEFAULTS = {
    "width": 832,
    "height": 480,
    "num_blocks": 20,
    "num_denoising_steps": 4,
    "strength": 0.8,
    "interp_steps": 4,
}


class NoWorker:
    """What stands in a worker's place: its streams are at fal."""

    connections: Sized = ()

    def __init__(self) -> None:
        self.metrics = Metrics()

    async def drain(self) -> None:
        """There is nothing to wait for."""


COLD_START_SECONDS = 600.0
"""fal connects at once, and is ready when a runner has started."""


def create_hosted_app(config: Config, fal: Fal) -> FastAPI:
    """The ASGI app in front of `fal`."""
    gate = Gate(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        limits = httpx.Limits(max_connections=config.max_connections)
        no_cookies = CookieJar(
            DefaultCookiePolicy(allowed_domains=[])
        )  # one caller's is not the next one's
        async with httpx.AsyncClient(
            limits=limits, cookies=no_cookies, follow_redirects=False
        ) as client:
            app.state.client = client
            yield

    app = FastAPI(
        title="framewire in front of fal", lifespan=lifespan, docs_url=None, redoc_url=None
    )
    app.state.gate = gate
    app.state.worker = NoWorker()
    app.add_exception_handler(ClientDisconnect, _nobody_there)
    app.add_exception_handler(Refused, too_many)
    app.add_middleware(CallerLimits)
    let_pages_read(app, gate)
    _add_status(app, gate, fal)
    add_fal_routes(app, config, gate, fal)
    add_page(app, gate, described(config, fal).as_json, fal.socket_origin)
    _send_streams_to_fal(app, fal)
    return app


def described(config: Config, fal: Fal) -> Description:
    """What the page is told; the defaults are those of Krea's model."""
    return Description(
        socket=fal.socket_url,
        alias=fal.app.alias,
        preset=str(fal.app),
        auth=config.auth == "jwt",
        hosted=True,
        ready_seconds=COLD_START_SECONDS,
        defaults=KREAS_DEFAULTS,
        unhonoured={"prompts": "fal's endpoint shows one prompt at a time: no blends"},
        **suggestions(fal.app.alias),
    )


async def _nobody_there(request: Request, error: Exception) -> Response:
    return Response(status_code=400)


def _add_status(app: FastAPI, gate: Gate, fal: Fal) -> None:
    def check(request: Request) -> None:
        try:
            gate.check_browser(request.headers.get("host"), request.headers.get("origin", ""))
        except Unauthorized as error:
            raise HTTPException(403, str(error)) from error

    @app.get("/health")
    async def health(request: Request) -> JSONResponse:
        check(request)
        return JSONResponse({"ready": True, "fal": str(fal.app)})

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        check(request)
        counted = app.state.worker.metrics
        return Response(counted.text(), media_type=counted.content_type)


def _send_streams_to_fal(app: FastAPI, fal: Fal) -> None:
    """A websocket that comes here is told where it belongs."""
    not_found = app.router.default

    async def elsewhere(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            return await not_found(scope, receive, send)
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        reason = f"no streams here: connect to {fal.socket_url}, with a token of POST /api/fal"
        error = Error(code=ErrorCode.BAD_MESSAGE, reason=reason)
        await refuse(app.state.worker.metrics, websocket, error)
        return None

    app.router.default = elsewhere
