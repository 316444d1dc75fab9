"""`/api/fal` in front of fal: tokens for the page, and the proxy of fal's SDKs.

A request that names a URL in `x-fal-target-url` is for that; any other asks for a token.
"""

from __future__ import annotations

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse
from pydantic import ValidationError
from starlette.responses import Response

from framewire.protocol import RealtimeTokenRequest, TokenRequest
from framewire.worker.config import Config
from framewire.worker.server.auth import Gate, Unauthorized
from framewire.worker.server.bodies import read_body
from framewire.worker.server.caller_limits import caller_of
from framewire.worker.server.fal_proxy.middleware import PROXY_PATHS, TARGET_HEADER
from framewire.worker.server.fal_proxy.targets import NoTarget

from .fal import Fal
from .mint import MintFailed, mint
from .relay import METHODS, relay
from .targets import Target, read_target

TOKEN_REQUEST_BYTES = 16_384


def add_fal_routes(app: FastAPI, config: Config, gate: Gate, fal: Fal) -> None:
    """Add them; `app.state.client` is the HTTP client that they ask fal with."""

    def check(request: Request) -> None:
        """A stranger could spend what the key pays for: who may is asked of everything here."""
        try:
            gate.check_browser(request.headers.get("host", ""), request.headers.get("origin", ""))
            gate.check_viewer(request.headers.get("authorization", ""), "")
        except Unauthorized as error:
            caller_of(request).check_mint()  # so that no key can be guessed
            raise HTTPException(403, str(error)) from error

    async def token(request: Request, seconds: int) -> str:
        caller_of(request).check_mint()
        try:
            return await mint(app.state.client, fal, seconds)
        except MintFailed as error:
            raise HTTPException(error.status, str(error)) from None

    async def asked_token(request: Request, target: Target) -> Response:
        """fal's own mints, as SDKs ask them through a proxy: for this app, no longer than ours."""
        body = await read_body(request, TOKEN_REQUEST_BYTES)
        try:
            asked = (
                RealtimeTokenRequest.model_validate_json(body).grant
                if target.is_realtime_mint
                else TokenRequest.model_validate_json(body)
            )
        except ValidationError as error:
            detail = error.errors(include_url=False, include_context=False, include_input=False)
            raise HTTPException(422, detail) from error
        if asked.allowed_apps != (fal.app.alias,):
            raise HTTPException(403, f"tokens that are minted here are for {fal.app.alias} alone")
        made = await token(request, min(asked.token_expiration, config.token_expiration))
        if target.is_realtime_mint:
            return JSONResponse({"token": made}, 201)
        return JSONResponse(made)

    async def proxied(request: Request) -> Response:
        targets = request.headers.getlist(TARGET_HEADER)
        if not targets and request.url.path == PROXY_PATHS[0] and request.method == "POST":
            check(request)
            return JSONResponse({"token": await token(request, config.token_expiration)})
        check(request)
        try:
            if len(targets) != 1:
                raise NoTarget(f"Invalid request: one {TARGET_HEADER} header is needed")
            target = read_target(targets[0])
        except NoTarget as error:
            raise HTTPException(400, str(error)) from None
        if target.is_mint:
            if request.method != "POST":
                raise HTTPException(405, "a token is asked for with POST")
            return await asked_token(request, target)
        return await relay(app.state.client, fal, request, target)

    for path in PROXY_PATHS:
        app.add_api_route(path, proxied, methods=list(METHODS), response_model=None)
