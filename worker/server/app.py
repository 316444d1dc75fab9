"""The worker over HTTP and websockets: an ASGI app.

Routes and their checks; what happens on a websocket is the doorway's and the session's.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Header, HTTPException, Request, Response
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.requests import ClientDisconnect
from starlette.routing import WebSocketRoute
from starlette.types import Receive, Scope, Send
from starlette.websockets import WebSocket

from framewire.protocol import Error, ErrorCode, RealtimeTokenRequest, TokenRequest
from framewire.worker.backends.base import Backend
from framewire.worker.clips.maker import ClipMaker
from framewire.worker.clips.store import ClipStore
from framewire.worker.config import Config
from framewire.worker.runtime.worker import Worker
from framewire.worker.sessions.viewer_files import ViewerFiles

from .auth import Gate, Unauthorized
from .bodies import read_body
from .caller_limits import CallerLimits, caller_of, too_many
from .clips.routes import add_clip_routes
from .doors.refusals import Refused
from .fal_proxy.middleware import FalProxy
from .listed_pages import let_pages_read
from .page.of_worker import described
from .page.routes import add_page
from .prompts.routes import add_prompt_routes
from .queue.jobs import JobQueue
from .queue.making import JobMaker
from .queue.routes import add_queue_routes
from .starlette_socket import refuse
from .state_folder import StateFolder
from .storage.krea_routes import MOST_ID, add_krea_routes
from .storage.recordings import Recordings
from .storage.routes import add_storage_routes
from .storage.store import UploadStore
from .storage.viewer_files import StoredFiles
from .websocket import serve_websocket

Asked = TypeVar("Asked", TokenRequest, RealtimeTokenRequest)
TOKEN_REQUEST_BYTES = 16_384
"""More than what may be asked for takes: 16 apps of 128 characters."""


def create_app(config: Config, backend: Backend) -> FastAPI:
    """The ASGI app of a worker. `backend` is loaded when the app starts up."""
    gate = Gate(config)
    folder = StateFolder(config)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        with folder:
            worker = app.state.worker = Worker(config, backend)
            await worker.load()
            uploads = app.state.uploads = UploadStore(folder.path / "uploads", config)
            recordings = app.state.recordings = Recordings(
                folder.path / "recordings", config.clip_life, config.recording_megabytes * 1_000_000
            )
            app.state.viewer_files = StoredFiles(
                uploads, recordings, config.video_megabytes * 1_000_000
            )
            maker = app.state.clip_maker = ClipMaker(worker, uploads.path_of_url)
            clips = app.state.clips = ClipStore(
                folder.path / "clips",
                config.clip_life,
                config.clip_megabytes * 1_000_000,
                config.name_in_ids,
            )
            jobs = app.state.jobs = JobQueue(
                worker, folder.path / "jobs", JobMaker(worker, maker, clips)
            )
            clips.restore(await jobs.open())
            jobs.start()
            try:
                yield
            finally:
                await worker.drain()
                await jobs.close()
                worker.close()
                clips.close()
                uploads.close()
                recordings.close()

    app = FastAPI(title="framewire worker", lifespan=lifespan, docs_url=None, redoc_url=None)
    app.state.gate = gate
    app.state.folder = folder
    app.add_exception_handler(ClientDisconnect, _nobody_there)
    app.add_exception_handler(Refused, too_many)
    app.add_middleware(CallerLimits)
    app.add_middleware(FalProxy)
    let_pages_read(app, gate)
    _add_status(app, gate)
    _add_tokens(app, config, gate)
    _add_websockets(app, gate)
    add_krea_routes(app, gate)
    add_storage_routes(app, gate)  # before routes whose first segments are anything
    add_queue_routes(app, config, gate)
    add_clip_routes(app, config, gate)
    add_prompt_routes(app, config, gate)
    add_page(app, gate, described(config, backend).as_json)
    return app


async def _nobody_there(request: Request, error: Exception) -> Response:
    """The caller left before its body had come: there is no one to answer, and nothing to log."""
    return Response(status_code=400)


def _add_status(app: FastAPI, gate: Gate) -> None:
    def check(request: Request) -> None:
        try:
            gate.check_browser(request.headers.get("host"), request.headers.get("origin", ""))
        except Unauthorized as error:
            raise HTTPException(403, str(error)) from error

    @app.get("/health")
    async def health(request: Request, room: bool = False) -> JSONResponse:
        """Whether the worker serves; with `?room=1`, whether it has a place for one more viewer."""
        check(request)
        worker: Worker = app.state.worker
        well = worker.ready and (not room or worker.admission.has_room)
        return JSONResponse(worker.status(), status_code=200 if well else 503)

    @app.get("/metrics")
    async def metrics(request: Request) -> Response:
        check(request)
        worker: Worker = app.state.worker
        return Response(worker.metrics.text(), media_type=worker.metrics.content_type)


def _add_tokens(app: FastAPI, config: Config, gate: Gate) -> None:
    async def requested(request: Request, authorization: str, kind: type[Asked]) -> Asked:
        """What is asked of a mint, once its caller is let in."""
        caller_of(request).check_mint()
        try:
            gate.check_minter(authorization)
            gate.check_browser(request.headers.get("host", ""), request.headers.get("origin", ""))
        except Unauthorized as error:
            raise HTTPException(401, str(error)) from error
        try:
            return kind.model_validate_json(await read_body(request, TOKEN_REQUEST_BYTES))
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False, include_input=False)
            raise HTTPException(422, detail) from error

    @app.post("/tokens/")
    async def tokens(request: Request, authorization: Annotated[str, Header()] = "") -> Any:
        """fal's mint: a key in, a bare JSON string out."""
        return JSONResponse(gate.mint(await requested(request, authorization, TokenRequest)))

    @app.post("/tokens/realtime")
    async def realtime(request: Request, authorization: Annotated[str, Header()] = "") -> Any:
        """fal's newer mint, which is told an app with its owner."""
        asked = await requested(request, authorization, RealtimeTokenRequest)
        return JSONResponse({"token": gate.mint(asked.grant)}, status_code=201)

    @app.post("/api/fal")
    async def browser_token(request: Request, authorization: Annotated[str, Header()] = "") -> Any:
        """The browser's mint: the key stays here, app and life are fixed."""
        caller_of(request).check_mint()
        try:
            gate.check_browser(request.headers.get("host", ""), request.headers.get("origin", ""))
            gate.check_minter(authorization)
        except Unauthorized as error:
            raise HTTPException(403, str(error)) from error
        grant = TokenRequest(allowed_apps=(config.alias,), token_expiration=config.token_expiration)
        return JSONResponse({"token": gate.mint(grant)})


def _add_websockets(app: FastAPI, gate: Gate) -> None:
    async def serve(websocket: WebSocket, **about: Any) -> None:
        files: ViewerFiles = app.state.viewer_files
        await serve_websocket(app.state.worker, gate, websocket, files=files, **about)

    @app.websocket("/ws")
    async def plain(websocket: WebSocket) -> None:
        await serve(websocket)

    @app.websocket("/{owner}/{alias}/ws")
    async def as_on_fal(websocket: WebSocket, owner: str, alias: str) -> None:
        await serve(websocket, alias=alias)

    @app.websocket("/realtime")
    async def for_sdks(websocket: WebSocket) -> None:
        """Where fal's SDKs connect by themselves: they read every binary message as msgpack."""
        await serve(websocket, envelope=True)

    @app.websocket("/{owner}/{alias}/realtime")
    async def for_sdks_on_fal(websocket: WebSocket, owner: str, alias: str) -> None:
        await serve(websocket, alias=alias, envelope=True)

    @app.websocket("/session/{session_id}")
    async def as_krea(websocket: WebSocket, session_id: str) -> None:
        await serve(websocket, session_id=session_id[:MOST_ID])

    paths = [route.path for route in app.routes if isinstance(route, WebSocketRoute)]
    not_found = app.router.default

    async def nowhere(scope: Scope, receive: Receive, send: Send) -> None:
        """Said in words: a refused upgrade would be an HTTP 403, as if a token were missing."""
        if scope["type"] != "websocket":
            return await not_found(scope, receive, send)
        websocket = WebSocket(scope, receive, send)
        await websocket.accept()
        reason = f"no stream at {scope['path'][:80]!r}: there are {', '.join(paths)}"
        await refuse(
            app.state.worker.metrics, websocket, Error(code=ErrorCode.BAD_MESSAGE, reason=reason)
        )
        return None

    app.router.default = nowhere
