"""The bytes of a file as a request brings them: with a limit, and none of them for ever.

A file may take longer than any other body, from a caller that was let in.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator

from fastapi import Request

from framewire.worker.server.caller_limits import may_send_for

from .errors import UploadStalled, UploadTooLarge

PIECE_SECONDS = 30.0
"""From one piece of a file to the next."""
FILE_SECONDS = 1800.0
"""For the whole of one request."""


async def pieces(request: Request, limit: int) -> AsyncIterator[bytes]:
    """The body, piece by piece.

    Args:
        limit: bytes that it may have, as far as its head says how many they are.

    Raises:
        UploadTooLarge: there are more, by its own word: nothing is read.
        UploadStalled: they do not come in time.
    """
    said = request.headers.get("content-length", "")
    if said.isdecimal() and int(said) > limit:
        raise UploadTooLarge(f"{int(said):,} bytes; a file may have {limit / 1_000_000:g} MB here")
    may_send_for(request, FILE_SECONDS + PIECE_SECONDS)
    body = aiter(request.stream())
    due = time.monotonic() + FILE_SECONDS
    while True:
        try:
            async with asyncio.timeout(min(PIECE_SECONDS, due - time.monotonic())):
                piece = await anext(body)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise UploadStalled(
                f"nothing came for {PIECE_SECONDS:g} s, or not all within {FILE_SECONDS:g} s"
            ) from None
        yield piece
