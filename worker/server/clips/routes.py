"""The clip endpoints of the local worker: made while the caller waits, with progress or without."""

from __future__ import annotations

import secrets

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import FileResponse

from framewire.worker.clips.maker import ClipMaker
from framewire.worker.clips.progress import Tell, tell_nobody
from framewire.worker.clips.requests import ENDPOINTS, ClipAnswer, ClipFile
from framewire.worker.config import Config
from framewire.worker.server.auth import Gate
from framewire.worker.server.bodies import read_body
from framewire.worker.server.caller_limits import caller_of

from .callers import check_caller
from .errors import clip_errors_as_http
from .events import EventStream, clip_events
from .kept import KeptClip, kept_clip
from .parsing import body_limit, parsed

REQUEST_ID_HEADER = "x-fal-request-id"
"""Where fal's SDKs read the id of a request."""


def add_clip_routes(app: FastAPI, config: Config, gate: Gate) -> None:
    """Add the endpoints; at start-up `app.state` gets `clips` and `clip_maker`."""
    for endpoint in ENDPOINTS:
        _add_endpoint(app, config, gate, endpoint)

    @app.get("/clips/{name}", name="clip")
    async def clip(name: str) -> FileResponse:
        """A finished clip. Its name is the permission."""
        path = app.state.clips.find(name)
        if path is None:
            raise HTTPException(404, "no such clip, or its time is over")
        return FileResponse(path, media_type="video/mp4")


def _add_endpoint(app: FastAPI, config: Config, gate: Gate, endpoint: str) -> None:
    limit = body_limit(config, ENDPOINTS[endpoint])

    async def answered(request: Request, tell: Tell) -> ClipAnswer:
        check_caller(config, gate, request)
        with caller_of(request).clip():
            return await _made(request, endpoint, limit, tell)

    @app.post(f"/{endpoint}")
    @app.post(f"/{{owner}}/{{alias}}/{endpoint}")
    async def run(request: Request, response: Response) -> ClipAnswer:
        response.headers.update(_request_id())
        return await answered(request, tell_nobody)

    @app.post(f"/{endpoint}/stream")
    @app.post(f"/{{owner}}/{{alias}}/{endpoint}/stream")
    async def stream(request: Request) -> EventStream:
        return await clip_events(lambda tell: answered(request, tell), _request_id())


def clip_answer(request: Request, kept: KeptClip) -> ClipAnswer:
    """What is answered of a kept clip, with its URL on the host that was asked."""
    url = str(request.url_for("clip", name=kept.name))
    video = ClipFile(url=url, file_name="output.mp4", file_size=kept.size)
    return ClipAnswer(video=video, seed=kept.seed, warnings=kept.warnings)


async def _made(request: Request, endpoint: str, limit: int, tell: Tell) -> ClipAnswer:
    state = request.app.state
    maker: ClipMaker = state.clip_maker
    with clip_errors_as_http(), maker.request():
        wanted = await parsed(state.worker, endpoint, await read_body(request, limit))
        kept = await kept_clip(
            state.clips, lambda path: maker.make(wanted, path, request.is_disconnected, tell)
        )
        return clip_answer(request, kept)


def _request_id() -> dict[str, str]:
    return {REQUEST_ID_HEADER: secrets.token_hex(16)}
