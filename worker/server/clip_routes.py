"""The clip endpoints of the local worker: who may ask, how large a body may be, where files lie."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ValidationError

from framewire.worker.clips.maker import ClipMaker, Gone, MadeClip
from framewire.worker.clips.requests import ClipAnswer, ClipFile, TextToVideo, VideoToVideo
from framewire.worker.clips.store import ClipStore
from framewire.worker.config import Config
from framewire.worker.runtime.worker import Worker

from .auth import Gate, Unauthorized
from .bodies import read_body
from .caller_limits import caller_of
from .clip_errors import clip_errors_as_http

_ROOM_FOR_JSON = 100_000

Model = TypeVar("Model", bound=BaseModel)


def add_clip_routes(app: FastAPI, config: Config, gate: Gate) -> None:
    """Add the endpoints; at start-up `app.state` gets `clips` and `clip_maker`."""

    @app.post("/text-to-video")
    @app.post("/{owner}/{alias}/text-to-video")
    async def text_to_video(
        request: Request, authorization: Annotated[str, Header()] = ""
    ) -> ClipAnswer:
        _check(config, gate, request, authorization)
        with caller_of(request).clip():
            return await _serve(request, TextToVideo, _ROOM_FOR_JSON, ClipMaker.text_to_video)

    @app.post("/video-to-video")
    @app.post("/{owner}/{alias}/video-to-video")
    async def video_to_video(
        request: Request, authorization: Annotated[str, Header()] = ""
    ) -> ClipAnswer:
        _check(config, gate, request, authorization)
        # Base64 makes four characters of three bytes.
        limit = config.video_megabytes * 1_000_000 * 4 // 3 + _ROOM_FOR_JSON
        with caller_of(request).clip():
            return await _serve(request, VideoToVideo, limit, ClipMaker.video_to_video)

    @app.get("/clips/{name}", name="clip")
    async def clip(name: str) -> FileResponse:
        """A finished clip. Its name is the permission."""
        path = app.state.clips.find(name)
        if path is None:
            raise HTTPException(404, "no such clip, or its time is over")
        return FileResponse(path, media_type="video/mp4")


async def _serve(
    request: Request,
    model: type[Model],
    limit: int,
    make: Callable[[ClipMaker, Model, Path, Gone], Awaitable[MadeClip]],
) -> ClipAnswer:
    state = request.app.state
    maker: ClipMaker = state.clip_maker
    clips: ClipStore = state.clips
    with clip_errors_as_http(), maker.request():
        wanted = await _parsed(state.worker, model, await read_body(request, limit))
        path = clips.new_path()
        try:
            made = await make(maker, wanted, path, request.is_disconnected)
            size = path.stat().st_size
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        url = str(request.url_for("clip", name=clips.keep(path)))
        return ClipAnswer(
            video=ClipFile(url=url, file_name="output.mp4", file_size=size), seed=made.seed
        )


def _check(config: Config, gate: Gate, request: Request, authorization: str) -> None:
    if request.path_params.get("alias", config.alias) != config.alias:
        raise HTTPException(404, f"this worker serves {config.alias}")
    try:
        gate.check_browser(request.headers.get("host", ""), request.headers.get("origin", ""))
        gate.check_viewer(authorization, "")
    except Unauthorized as error:
        raise HTTPException(401, str(error)) from error


async def _parsed(worker: Worker, model: type[Model], body: bytearray) -> Model:
    try:
        return await worker.in_turn(object(), lambda: model.model_validate_json(body))
    except ValidationError as error:
        detail: list[Any] = error.errors(
            include_url=False, include_context=False, include_input=False
        )
        for item in detail:
            item["loc"] = ("body", *item["loc"])
        raise HTTPException(422, detail) from error
