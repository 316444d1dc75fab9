"""`POST /prompt/expand`: a prompt made longer by the operator's language model, for the page."""

from __future__ import annotations

from typing import Annotated

from fastapi import FastAPI, Header, HTTPException, Request
from pydantic import BaseModel, ValidationError

from framewire.protocol.expansion import ExpansionError
from framewire.protocol.prompts.blends import Prompt
from framewire.worker.clips.prompt_expansion import ExpansionOff, expand_prompt
from framewire.worker.config import Config
from framewire.worker.runtime.retry import FULL_SECONDS
from framewire.worker.server.auth import Gate, Unauthorized
from framewire.worker.server.bodies import read_body
from framewire.worker.server.caller_limits import caller_of

_BODY_BYTES = 100_000
_MOST_AT_ONCE = 4
"""Of all callers: each keeps a connection to the endpoint open, which somebody pays for."""


class PromptRequest(BaseModel):
    """What is to be expanded."""

    prompt: Prompt


class PromptAnswer(BaseModel):
    """The prompt to send, and what it was."""

    prompt: str
    original: str


def add_prompt_routes(app: FastAPI, config: Config, gate: Gate) -> None:
    """Add the endpoint."""
    under_way = 0

    @app.post("/prompt/expand")
    async def expand(
        request: Request, authorization: Annotated[str, Header()] = ""
    ) -> PromptAnswer:
        nonlocal under_way
        _check(gate, request, authorization)
        caller_of(request).check_expansion()
        asked = _parsed(await read_body(request, _BODY_BYTES))
        if under_way >= _MOST_AT_ONCE:
            busy = f"{under_way} prompts are being expanded: ask again"
            raise HTTPException(429, busy, headers={"Retry-After": str(FULL_SECONDS)})
        under_way += 1
        try:
            return PromptAnswer(
                prompt=await expand_prompt(config, asked.prompt), original=asked.prompt
            )
        except ExpansionOff as error:
            raise HTTPException(501, str(error)) from None
        except ExpansionError as error:
            raise HTTPException(502, str(error)) from None
        finally:
            under_way -= 1


def _check(gate: Gate, request: Request, authorization: str) -> None:
    try:
        gate.check_browser(request.headers.get("host", ""), request.headers.get("origin", ""))
        gate.check_viewer(authorization, "")
    except Unauthorized as error:
        raise HTTPException(401, str(error)) from error


def _parsed(body: bytearray) -> PromptRequest:
    try:
        return PromptRequest.model_validate_json(body)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_context=False, include_input=False)
        raise HTTPException(
            422, [{**item, "loc": ("body", *item["loc"])} for item in detail]
        ) from None
