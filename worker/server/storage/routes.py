"""fal's storage as its clients call it: tokens, files whole or in parts, and the files themselves.

Shapes as in fal_client (Python) and @fal-ai/client (JavaScript). Who has begun an upload is handed an id
that lets it send the bytes, as fal's signed URLs do: the JavaScript client sends nothing else then.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Annotated, TypeVar

from fastapi import FastAPI, Header, HTTPException, Request
from fastapi.responses import FileResponse, JSONResponse
from pydantic import BaseModel, Field, ValidationError

from framewire.worker.server.auth import Gate, Unauthorized
from framewire.worker.server.bodies import read_body
from framewire.worker.server.caller_limits import caller_of

from .errors_as_http import storage_errors_as_http
from .half_upload import MOST_PARTS, HalfUpload
from .receiving import pieces
from .shown import file_response
from .store import Upload, UploadStore
from .wishes import content_type, file_name, life

_BODY_BYTES = 16_384
_PARTS_BYTES = MOST_PARTS * 200

Model = TypeVar("Model", bound=BaseModel)


class _Initiated(BaseModel):
    """What `POST /storage/upload/initiate` takes."""

    file_name: str = Field(default="", max_length=4096)
    content_type: str = Field(default="", max_length=4096)


class _Part(BaseModel):
    number: int = Field(alias="partNumber")
    etag: str = Field(max_length=128)


class _Parts(BaseModel):
    """What completes an upload in parts."""

    parts: list[_Part] = Field(max_length=MOST_PARTS)


def add_storage_routes(app: FastAPI, gate: Gate) -> None:
    """Add the endpoints; at start-up `app.state` gets `uploads`."""
    _add_begun_by_key(app, gate)
    _add_sent_by_id(app, gate)

    @app.api_route("/files/{name}", methods=["GET", "HEAD"], name="upload")
    async def file(name: str) -> FileResponse:
        """A file that was uploaded. Its name is the permission."""
        store: UploadStore = app.state.uploads
        upload = store.find(name)
        if upload is None:
            raise HTTPException(404, "no such file, or its time is over")
        return file_response(upload, store.path(upload))


def _add_begun_by_key(app: FastAPI, gate: Gate) -> None:
    @app.post("/storage/auth/token")
    async def token(request: Request, authorization: Annotated[str, Header()] = "") -> JSONResponse:
        """A short-lived token for `/files/upload` and what lies below it."""
        caller_of(request).check_mint()
        _admit(gate, request, gate.check_minter, authorization)
        made, expiry = gate.mint_upload()
        return JSONResponse(
            {
                "token": made,
                "token_type": "Bearer",
                "base_url": str(request.base_url).rstrip("/"),
                "expires_at": datetime.fromtimestamp(expiry, UTC).isoformat(),
            }
        )

    @app.post("/files/upload")
    async def whole(request: Request, authorization: Annotated[str, Header()] = "") -> JSONResponse:
        """A file in one request."""
        _admit(gate, request, gate.check_uploader, authorization)
        with storage_errors_as_http(request):
            upload = await _received(request, _begun(request, *_said_in_headers(request)))
        return JSONResponse({"access_url": upload.url})

    @app.post("/files/upload/multipart")
    async def in_parts(
        request: Request, authorization: Annotated[str, Header()] = ""
    ) -> JSONResponse:
        """A file in parts is to come."""
        _admit(gate, request, gate.check_uploader, authorization)
        with storage_errors_as_http(request):
            half = _begun(request, *_said_in_headers(request))
        return JSONResponse({"access_url": half.about.url, "uploadId": half.id})

    @app.post("/storage/upload/initiate")
    async def initiate(
        request: Request, authorization: Annotated[str, Header()] = ""
    ) -> JSONResponse:
        """A file in one request, to an URL that needs no key."""
        return _where(await initiated(request, authorization), "upload")

    @app.post("/storage/upload/initiate-multipart")
    async def initiate_parts(
        request: Request, authorization: Annotated[str, Header()] = ""
    ) -> JSONResponse:
        """A file in parts, to an URL that needs no key."""
        return _where(await initiated(request, authorization), "multipart")

    async def initiated(request: Request, authorization: str) -> HalfUpload:
        _admit(gate, request, gate.check_uploader, authorization)
        said = await _parsed(request, _Initiated, _BODY_BYTES)
        with storage_errors_as_http(request):
            return _begun(request, said.content_type, said.file_name)


def _add_sent_by_id(app: FastAPI, gate: Gate) -> None:
    def under_way(request: Request, name: str, half_id: str) -> HalfUpload:
        _admit(gate, request, lambda _: None, "")
        store: UploadStore = request.app.state.uploads
        return store.half(name, half_id)

    @app.put("/files/{name}/upload/{half_id}")
    async def whole(request: Request, name: str, half_id: str) -> JSONResponse:
        with storage_errors_as_http(request):
            upload = await _received(request, under_way(request, name, half_id))
        return JSONResponse({"file_url": upload.url})

    @app.put("/files/{name}/multipart/{half_id}/{number}")
    async def part(request: Request, name: str, half_id: str, number: int) -> JSONResponse:
        with storage_errors_as_http(request):
            half = under_way(request, name, half_id)
            limit = request.app.state.uploads.file_limit
            etag = await half.receive(number, pieces(request, limit))
        said = {"partNumber": number, "etag": f'"{etag}"'}
        return JSONResponse(said, headers={"ETag": f'"{etag}"'})

    @app.post("/files/{name}/multipart/{half_id}/complete")
    async def complete(request: Request, name: str, half_id: str) -> JSONResponse:
        store: UploadStore = request.app.state.uploads
        with storage_errors_as_http(request):
            if store.completed(name, half_id) is None:
                under_way(request, name, half_id)
        said = await _parsed(request, _Parts, _PARTS_BYTES)
        with storage_errors_as_http(request):
            upload = store.completed(name, half_id)
            if upload is None:
                half = under_way(request, name, half_id)
                upload = await store.complete(half, [(one.number, one.etag) for one in said.parts])
        return JSONResponse({"access_url": upload.url, "file_url": upload.url})


def _admit(gate: Gate, request: Request, check: Callable[[str], None], authorization: str) -> None:
    try:
        gate.check_browser(request.headers.get("host", ""), request.headers.get("origin", ""))
        check(authorization)
    except Unauthorized as error:
        raise HTTPException(401, str(error)) from error


def _said_in_headers(request: Request) -> tuple[str, str]:
    headers = request.headers
    return headers.get("content-type", ""), headers.get("x-fal-file-name", "")


def _begun(request: Request, said_type: str, said_name: str) -> HalfUpload:
    store: UploadStore = request.app.state.uploads
    return store.begin(
        lambda name: str(request.url_for("upload", name=name)),
        content_type(said_type),
        file_name(said_name),
        life(request.headers),
        caller_of(request).key,
    )


async def _received(request: Request, half: HalfUpload) -> Upload:
    store: UploadStore = request.app.state.uploads
    try:
        await half.receive(1, pieces(request, store.file_limit))
        return await store.complete(half, None)
    finally:
        store.discard(half)


def _where(half: HalfUpload, way: str) -> JSONResponse:
    url = half.about.url
    return JSONResponse({"upload_url": f"{url}/{way}/{half.id}", "file_url": url})


async def _parsed(request: Request, model: type[Model], limit: int) -> Model:
    try:
        return model.model_validate_json(await read_body(request, limit))
    except ValidationError as error:
        detail = error.errors(include_url=False, include_context=False, include_input=False)
        raise HTTPException(422, detail) from error
