"""Requests of fal's SDKs, sent on to fal with the key that stays here.

Bodies pass through in parts and are never whole here. What goes on is named: headers that are not
known to be needed stay behind, a caller's credentials and cookies and fal's cookies among them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

import httpx
from fastapi import HTTPException, Request
from fastapi.responses import StreamingResponse

from .fal import Fal
from .targets import Target

METHODS = ("GET", "POST", "PUT", "DELETE")
MOST_SENT = 64 * 1024 * 1024
MOST_ANSWERED = 1024 * 1024 * 1024
TIMEOUT = httpx.Timeout(10.0, read=600.0, write=60.0)
"""A run answers when it is done, which takes minutes."""
_ASKED = ("accept", "accept-encoding", "content-type", "content-length", "user-agent")
_ANSWERED = (
    *("content-type", "content-length", "content-encoding", "content-disposition"),
    *("cache-control", "date", "etag", "last-modified", "retry-after"),
)
_FAL_PREFIX = "x-fal-"
_NOT_ASKED = ("x-fal-target-url", "x-fal-client-proxy")
_SAFE = {
    "x-content-type-options": "nosniff",
    "content-security-policy": "default-src 'none'; sandbox",
}
"""What comes from fal is data to the page that asked, and no page itself."""


async def relay(
    client: httpx.AsyncClient, fal: Fal, request: Request, target: Target
) -> StreamingResponse:
    """What fal answers to `request`, sent to `target`.

    Raises:
        HTTPException: it is too large, or there is no answer that could be passed on.
    """
    if _length(request.headers.get("content-length")) > MOST_SENT:
        raise HTTPException(413, f"a body of more than {MOST_SENT} bytes")
    sent = client.build_request(
        request.method,
        fal.origin(target.host) + target.path,
        headers=_asked(request, fal, target),
        content=_limited(request) if request.method in ("POST", "PUT") else None,
        timeout=TIMEOUT,
    )
    try:
        answer = await client.send(sent, stream=True, follow_redirects=False)
    except httpx.TimeoutException:
        raise HTTPException(504, f"{target.host} did not answer in time") from None
    except httpx.HTTPError as error:
        said = f"{target.host} cannot be reached: {type(error).__name__}"
        raise HTTPException(502, said) from None
    if answer.is_redirect or _length(answer.headers.get("content-length")) > MOST_ANSWERED:
        await answer.aclose()
        what = "sends on to another address" if answer.is_redirect else "answers too much"
        raise HTTPException(502, f"{target.host} {what}, which is not passed on")
    return StreamingResponse(
        _parts(answer), answer.status_code, headers=_passed(answer.headers) | _SAFE
    )


def _asked(request: Request, fal: Fal, target: Target) -> dict[str, str]:
    headers = {
        name: value
        for name, value in request.headers.items()
        if (name in _ASKED or name.startswith(_FAL_PREFIX)) and name not in _NOT_ASKED
    }
    if request.method not in ("POST", "PUT"):
        headers.pop("content-length", None)
    headers.setdefault("accept-encoding", "identity")
    headers["x-fal-client-proxy"] = "framewire"
    if target.gets_key:
        headers["authorization"] = f"Key {fal.key}"
    return headers


def _passed(headers: httpx.Headers) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name in _ANSWERED or name.startswith(_FAL_PREFIX)
    }


def _length(told: str | None) -> int:
    return int(told) if told is not None and told.isascii() and told.isdigit() else 0


async def _limited(request: Request) -> AsyncIterator[bytes]:
    count = 0
    async for part in request.stream():
        count += len(part)
        if count > MOST_SENT:
            raise HTTPException(413, f"a body of more than {MOST_SENT} bytes")
        yield part


async def _parts(answer: httpx.Response) -> AsyncIterator[bytes]:
    """The body as it comes, compressed or not; an answer that is cut stays cut."""
    count = 0
    try:
        async for part in answer.aiter_raw():
            count += len(part)
            if count > MOST_ANSWERED:
                raise httpx.RemoteProtocolError("too long an answer")
            yield part
    finally:
        await answer.aclose()
