"""`GET /`, the page's files under `/page/`, and `/page.json`, which tells the page where it is.

Knows nothing of streams. What `/page.json` holds is made elsewhere: by `of_worker` for a
worker.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from fastapi import FastAPI, HTTPException, Request, Response
from fastapi.responses import JSONResponse

from framewire.worker.server.auth import Gate, Unauthorized

from .files import INDEX, page_files
from .headers import page_headers

_METHODS = ["GET", "HEAD"]


def add_page(
    app: FastAPI, gate: Gate, described: Callable[[], Mapping[str, Any]], connect_to: str = ""
) -> None:
    """Serve the page.

    Args:
        described: what `/page.json` answers.
        connect_to: an origin besides its own that the page may connect to.
    """
    headers = page_headers(connect_to)

    def check(request: Request) -> None:
        try:
            gate.check_browser(request.headers.get("host"), request.headers.get("origin", ""))
        except Unauthorized as error:
            raise HTTPException(403, str(error)) from error

    def answer(request: Request, path: str) -> Response:
        check(request)
        file = page_files().get(path)
        if file is None:
            raise HTTPException(404, "the page has no such file")
        cached = headers | {"cache-control": "no-cache", "etag": file.etag}
        if file.etag in request.headers.get("if-none-match", ""):
            return Response(status_code=304, headers=cached)
        return Response(file.body, media_type=file.media_type, headers=cached)

    @app.api_route("/", methods=_METHODS)
    async def index(request: Request) -> Response:
        return answer(request, INDEX)

    @app.api_route("/page/{path:path}", methods=_METHODS)
    async def file(request: Request, path: str) -> Response:
        return answer(request, path)

    @app.get("/page.json")
    async def description(request: Request) -> Response:
        check(request)
        return JSONResponse(dict(described()), headers=headers | {"cache-control": "no-store"})
