"""The door that every server shares: may this websocket in, and if so, a session serves it.

Knows the web framework's websocket and the rules; which URL leads here is the server's business.
"""

from __future__ import annotations

from starlette.websockets import WebSocket

from framewire.protocol import CLOSE_CODES, CloseCode, Error, ErrorCode
from framewire.worker.runtime.worker import Worker
from framewire.worker.sessions.session import Session
from framewire.worker.sessions.viewer_files import ViewerFiles

from .auth import Gate, Unauthorized
from .starlette_socket import StarletteSocket, refuse

_TRUE = ("1", "true", "yes", "on")


async def serve_websocket(
    worker: Worker,
    gate: Gate,
    websocket: WebSocket,
    *,
    session_id: str | None = None,
    alias: str | None = None,
    envelope: bool = False,
    files: ViewerFiles | None = None,
) -> None:
    """Accept a websocket, then serve a session on it or say why not. Returns when it is over.

    Args:
        session_id: given in the URL, for clients of Krea's own server.
        alias: the app that the URL names; None where it names none.
        envelope: send frames as msgpack maps unless the URL or the params say otherwise.
        files: what is kept for viewers, if anything.
    """
    await websocket.accept()
    refusal = _refusal(worker, gate, websocket, alias)
    if refusal is not None:
        await refuse(worker.metrics, websocket, *refusal)
        return
    viewer = StarletteSocket(websocket)
    query = websocket.query_params
    session = Session(
        worker,
        viewer,
        session_id=session_id,
        worker_name=worker.name if session_id else None,
        events=query.get("events", "").lower() in _TRUE,
        envelope=query.get("fmt", "msgpack" if envelope else "jpeg") == "msgpack",
        browser=bool(websocket.headers.get("origin")),
        files=files,
        record=query.get("record", "").lower() in _TRUE,
    )
    async with worker.connected():
        await session.run()


def _refusal(
    worker: Worker, gate: Gate, websocket: WebSocket, alias: str | None
) -> tuple[Error, CloseCode] | None:
    """Why this socket is not served. Said after accepting: gateways hide a refused upgrade."""
    config = worker.config
    headers, query = websocket.headers, websocket.query_params
    code = ErrorCode.UNAUTHORIZED
    try:
        gate.check_browser(headers.get("host", ""), headers.get("origin", ""))
        gate.check_viewer(headers.get("authorization", ""), query.get("fal_jwt_token", ""))
    except Unauthorized as error:
        reason = str(error)
    else:
        code = ErrorCode.AT_CAPACITY
        if worker.draining.is_set():
            reason = "the worker is shutting down: connect again"
            return Error(code=code, reason=reason), CloseCode.RESTART
        if len(worker.connections) >= config.max_connections:
            reason = f"{config.max_connections} connections are open already"
        elif alias not in (None, config.alias):
            code = ErrorCode.BAD_MESSAGE
            reason = f"no app {alias!r} here: this worker serves {config.alias}"
        else:
            return None
    return Error(code=code, reason=reason), CLOSE_CODES[code]
