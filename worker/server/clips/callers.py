"""Who may ask for clips: of this app, from a page that may, with a key or a token."""

from __future__ import annotations

from fastapi import HTTPException, Request

from framewire.worker.config import Config
from framewire.worker.server.auth import Gate, Unauthorized


def check_caller(config: Config, gate: Gate, request: Request) -> None:
    """Let a request in, by `Authorization` header or `fal_jwt_token`.

    Raises:
        HTTPException: 404 for another app, 401 without a key or token.
    """
    if request.path_params.get("alias", config.alias) != config.alias:
        raise HTTPException(404, f"this worker serves {config.alias}")
    headers = request.headers
    try:
        gate.check_browser(headers.get("host", ""), headers.get("origin", ""))
        gate.check_viewer(
            headers.get("authorization", ""), request.query_params.get("fal_jwt_token", "")
        )
    except Unauthorized as error:
        raise HTTPException(401, str(error)) from error
