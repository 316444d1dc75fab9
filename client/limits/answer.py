"""An HTTP answer that is read whole, within bounds: of bytes, and of time from first to last."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

MOST_BYTES = 64 * 1024
"""Of a body. A token is a few hundred, and what is said of a refusal not much more."""


async def whole_answer(
    client: httpx.AsyncClient, method: str, url: str, *, seconds: float, **options: Any
) -> httpx.Response:
    """Ask, and read the answer; `options` are those of `httpx.AsyncClient.stream`.

    A body counts as it comes, for one that is compressed could grow without bound.

    Raises:
        httpx.HTTPError: no answer came in time, or it is too long.
    """
    body = bytearray()
    try:
        async with asyncio.timeout(seconds), client.stream(method, url, **options) as response:
            async for part in response.aiter_raw():
                body += part
                if len(body) > MOST_BYTES:
                    raise httpx.RemoteProtocolError(f"an answer of more than {MOST_BYTES} bytes")
    except TimeoutError:
        raise httpx.ReadTimeout(f"no whole answer within {seconds:g} s") from None
    told = {name: response.headers[name] for name in ("Date",) if name in response.headers}
    return httpx.Response(response.status_code, headers=told, content=bytes(body))
