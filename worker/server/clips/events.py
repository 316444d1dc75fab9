"""A clip as server-sent events: how far it is after each block, then the answer.

The shape that fal's SDKs iterate over: each event is a JSON object, the last one the result. A
failure before the first event is an HTTP error; a later one is said in an event with its `status`
and `detail`, and then the connection breaks off, so that no client takes it for the result.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from typing import Any

from fastapi import HTTPException
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from framewire.worker.clips.progress import Progress, Tell
from framewire.worker.clips.requests import FRAME_COUNTS, ClipAnswer

logger = logging.getLogger(__name__)

CLOSE_EXTENSION = "framewire.close"
"""By this name in the ASGI scope a server offers to end the connection once all is sent."""
CLOSE_SECONDS = 5.0
ALIVE_SECONDS = 10.0
"""After which a stream that has nothing to say says that, for proxies that drop silent ones."""
ALIVE = b": nothing new yet\n\n"


def event(said: dict[str, Any]) -> bytes:
    """One server-sent event."""
    return f"data: {json.dumps(said, separators=(',', ':'))}\n\n".encode()


class EventStream(StreamingResponse):
    """Server-sent events; where `broken` at their end, the response is not completed."""

    def __init__(self, events: AsyncIterator[bytes], headers: dict[str, str]) -> None:
        unbuffered = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
        super().__init__(events, media_type="text/event-stream", headers=unbuffered | headers)
        self.broken = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def unless_broken(message: Any) -> None:
            if not self.broken or message.get("body") or message["type"] != "http.response.body":
                await send(message)

        await super().__call__(scope, receive, unless_broken)
        close = (scope.get("extensions") or {}).get(CLOSE_EXTENSION)
        if self.broken and close is not None:
            close()
            with suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    while (await receive())["type"] != "http.disconnect":
                        pass


async def clip_events(
    make: Callable[[Tell], Awaitable[ClipAnswer]], headers: dict[str, str]
) -> EventStream:
    """The response of a `/stream` endpoint.

    Args:
        make: makes the clip and tells how far it is.

    Raises:
        HTTPException: what `make` raised before it told anything.
    """
    said: asyncio.Queue[Progress | None] = asyncio.Queue(FRAME_COUNTS[-1] + 2)

    def tell(progress: Progress) -> None:
        if progress.blocks:
            said.put_nowait(progress)

    making = asyncio.ensure_future(make(tell))
    making.add_done_callback(lambda _: said.put_nowait(None))
    try:
        first = await said.get()
    except asyncio.CancelledError:
        making.cancel()
        raise
    if first is None:
        making.result()

    async def events() -> AsyncIterator[bytes]:
        try:
            progress = first
            while progress is not None:
                yield event(_shown(progress))
                while True:
                    try:
                        progress = await asyncio.wait_for(said.get(), ALIVE_SECONDS)
                        break
                    except TimeoutError:
                        yield ALIVE
            try:
                yield event(making.result().model_dump(mode="json"))
            except Exception as error:  # noqa: BLE001 (each is said, and logged where it is ours)
                response.broken = True
                yield event(_failure(error))
        finally:
            making.cancel()

    response = EventStream(events(), headers)
    return response


def _shown(progress: Progress) -> dict[str, Any]:
    total = progress.num_frames
    return {
        "status": "IN_PROGRESS",
        "progress": round(progress.frames / total, 4) if total else None,
        "frames": progress.frames,
        "num_frames": total,
        "block": progress.blocks,
        "seed": progress.seed,
    }


def _failure(error: Exception) -> dict[str, Any]:
    if isinstance(error, HTTPException):
        return {"status": error.status_code, "detail": error.detail}
    logger.error("a clip failed", exc_info=error)
    return {"status": 500, "detail": "Internal Server Error"}
