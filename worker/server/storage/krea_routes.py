"""What the page of Krea's own server asks for beside its socket: uploads for params.

`path` in an answer is no path but an id, which `start_frame` and `input_video` take.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse, Response

from framewire.protocol.params import UPLOAD_PREFIX
from framewire.worker.server.auth import Gate, Unauthorized
from framewire.worker.server.caller_limits import caller_of

from .errors_as_http import storage_errors_as_http
from .form_file import form_file
from .store import UploadStore
from .wishes import content_type, file_name

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
        with storage_errors_as_http():
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
