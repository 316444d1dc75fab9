"""What the page of Krea's own server asks for beside its socket: uploads for params, and recordings.

`path` in an answer is no path but an id, which `start_frame` and `input_video` take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from pathlib import Path

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse, Response

from framewire.protocol.params import UPLOAD_PREFIX
from framewire.worker.clips.maker import ClipMaker
from framewire.worker.clips.store import ClipStore
from framewire.worker.runtime.worker import Worker
from framewire.worker.server.auth import Gate, Unauthorized
from framewire.worker.server.caller_limits import caller_of
from framewire.worker.server.clips.errors import clip_errors_as_http

from .errors_as_http import storage_errors_as_http
from .form_file import form_file
from .recorded_clip import write_clip
from .recordings import Recording, Recordings
from .store import UploadStore
from .wishes import content_type, file_name

MOST_ID = 128
"""Characters of a session's id that count."""
_NOT_RECORDED = (
    "no recording of this session, or its time is over: a stream is recorded where its params have "
    "record: true, or the URL of its socket has ?record=1"
)

Route = Callable[[Request], Awaitable[Response]]


def add_krea_routes(app: FastAPI, gate: Gate) -> None:
    """Add the endpoints; at start-up `app.state` gets `uploads`."""

    @app.post("/upload_start_frame")
    @app.post("/upload_video")
    @_as_krea_refuses
    async def upload(request: Request) -> Response:
        """A file of a form, from whoever may stream."""
        check_viewer(gate, request)
        store: UploadStore = app.state.uploads
        with storage_errors_as_http(request):
            form = await form_file(request, store.file_limit)
            name = file_name(form.name)
            half = store.begin(
                lambda kept: str(request.url_for("upload", name=kept)),
                content_type(form.content_type),
                name,
                owner=caller_of(request).key,
            )
            try:
                await half.receive(1, form.pieces)
                kept = await store.complete(half, None)
            finally:
                store.discard(half)
        return JSONResponse({"path": UPLOAD_PREFIX + kept.name, "filename": name})

    @app.get("/download_video/{session_id}")
    @_as_krea_refuses
    async def download(request: Request) -> Response:
        """The frames of a session's last stream, where its viewer had it recorded."""
        check_viewer(gate, request)
        session_id: str = request.path_params["session_id"]
        recordings: Recordings = app.state.recordings
        recording = recordings.find(session_id[:MOST_ID])
        if recording is None or not recording.frames:
            raise HTTPException(404, _NOT_RECORDED)
        async with recording.making:
            path = await _clip_of(request, recording)
        name = f"video_{session_id}.mp4"
        return FileResponse(path, media_type="video/mp4", filename=name)


async def _clip_of(request: Request, recording: Recording) -> Path:
    """The recording as a video file, made now unless it is there."""
    clips: ClipStore = request.app.state.clips
    if recording.clip is not None and recording.clip[1] == recording.frames:
        path = clips.find(recording.clip[0])
        if path is not None:
            return path
    maker: ClipMaker = request.app.state.clip_maker
    with caller_of(request).clip(), clip_errors_as_http(), maker.request():
        path = clips.new_path()
        try:
            worker: Worker = request.app.state.worker
            count = await write_clip(worker, recording, path, request.is_disconnected)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
    recording.clip = (clips.keep(path), count)
    return path


def check_viewer(gate: Gate, request: Request) -> None:
    """Let in whoever may stream.

    Raises:
        HTTPException: 401, with the reason.
    """
    headers = request.headers
    try:
        gate.check_browser(headers.get("host", ""), headers.get("origin", ""))
        token = request.query_params.get("fal_jwt_token", "")
        gate.check_viewer(headers.get("authorization", ""), token)
    except Unauthorized as error:
        raise HTTPException(401, str(error)) from error


def _as_krea_refuses(route: Route) -> Route:
    """Its page looks for `error` in a refusal, fal's clients for `detail`."""

    @wraps(route)
    async def refusing(request: Request) -> Response:
        try:
            return await route(request)
        except HTTPException as error:
            said = {"error": error.detail, "detail": error.detail}
            return JSONResponse(said, error.status_code, headers=error.headers)

    return refusing
