"""The limits of each address, where a request or a websocket knocks: counted, or told why not.

Runs inside uvicorn's reading of proxies' headers, so that it sees who calls. Without our own
connections below it (`on_uvicorn/http`) nothing is limited.
"""

from __future__ import annotations

import time
from contextlib import ExitStack

from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from starlette.websockets import WebSocket

from framewire.protocol import Error, ErrorCode
from framewire.worker.runtime.retry import FULL_SECONDS

from .doors.callers import EXEMPT, Caller, Visit
from .doors.refusals import Refused
from .starlette_socket import refuse

VISIT_EXTENSION = "framewire.visit"
"""By this name in the ASGI scope stands the connection's `Visit`."""
_CALLER = "framewire.caller"


class CallerLimits:
    """ASGI middleware."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit: Visit | None = (scope.get("extensions") or {}).get(VISIT_EXTENSION)
        client = scope.get("client")
        if visit is None or client is None:
            await self._app(scope, receive, send)
            return
        with ExitStack() as held:
            try:
                caller = held.enter_context(visit.callers.admitted(visit, tuple(client)))
            except Refused as refused:
                if scope["type"] == "http":
                    await too_many(Request(scope), refused)(scope, receive, send)
                    return
                error = Error(code=ErrorCode.AT_CAPACITY, reason=str(refused))
                websocket = WebSocket(scope, receive, send)
                await websocket.accept()
                await refuse(scope["app"].state.worker.metrics, websocket, error)
                return
            if scope["type"] == "websocket":
                visit.caller = caller.key
            scope[_CALLER] = caller
            await self._app(scope, receive, send)


def caller_of(request: Request) -> Caller:
    """Who asks."""
    caller: Caller = request.scope.get(_CALLER, EXEMPT)
    return caller


def may_send_for(request: Request, seconds: float) -> None:
    """Let the body of this request take longer than that of a caller nobody knows."""
    visit: Visit | None = (request.scope.get("extensions") or {}).get(VISIT_EXTENSION)
    if visit is not None:
        visit.body_until = time.monotonic() + seconds


def too_many(request: Request, refused: Exception) -> JSONResponse:
    """The answer to a caller that asks for too much."""
    return JSONResponse({"detail": str(refused)}, 429, headers={"Retry-After": str(FULL_SECONDS)})
