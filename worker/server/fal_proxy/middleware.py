"""`/api/fal` as the proxy of fal's JavaScript client: what is meant for fal is answered here.

Nothing is relayed. A request that names one of fal's URLs in `x-fal-target-url` goes on to the
local route of that meaning, with its own method, headers and body, and is checked there like any
other.
"""

from __future__ import annotations

from urllib.parse import unquote

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from .targets import NoTarget, local_path

TARGET_HEADER = "x-fal-target-url"
PROXY_PATHS = ("/api/fal", "/api/fal/proxy")
"""Where fal's demo app has its proxy, and where fal's own packages for servers have theirs."""


class FalProxy:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] not in PROXY_PATHS:
            await self._app(scope, receive, send)
            return
        targets = Headers(scope=scope).getlist(TARGET_HEADER)
        if not targets and scope["path"] == PROXY_PATHS[0]:
            await self._app(scope, receive, send)  # it mints for browsers, too
            return
        try:
            if len(targets) != 1:
                raise NoTarget(f"Invalid request: one {TARGET_HEADER} header is needed")
            path, query = local_path(targets[0])
        except NoTarget as error:
            await JSONResponse({"detail": str(error)}, 400)(scope, receive, send)
            return
        meant = {
            "path": unquote(path),
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "headers": [pair for pair in scope["headers"] if pair[0] != TARGET_HEADER.encode()],
        }
        await self._app({**scope, **meant}, receive, send)
