"""The body of a request, within a size and a time."""

from __future__ import annotations

import asyncio

from fastapi import HTTPException, Request

BODY_SECONDS = 60.0


async def read_body(request: Request, limit: int) -> bytearray:
    """The whole body, of `limit` bytes at most.

    Raises:
        HTTPException: 413 as soon as it is larger, 408 where it does not come in time.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for piece in request.stream():
                if len(body) + len(piece) > limit:
                    raise HTTPException(413, f"a body of more than {limit} bytes")
                body += piece
    except TimeoutError:
        raise HTTPException(408, f"the body did not come within {BODY_SECONDS:g} s") from None
    return body
