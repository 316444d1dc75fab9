"""The plain way to serve frames, to compare with: what one writes first, and it works.

A task a frame: the decoder's float tensor -> 8 bits -> PIL -> JPEG, into a queue, from which
another task sends. Over a real websocket on the same server, with the same messages around it.
"""

from __future__ import annotations

import asyncio
import io
import time
from collections.abc import Callable
from contextlib import suppress

import numpy as np
from fastapi import FastAPI
from numpy.typing import NDArray
from PIL import Image
from starlette.websockets import WebSocket, WebSocketDisconnect

_READY = '{"status":"ready"}'
_QUEUED = 24


def plain_app(
    planes: NDArray[np.float32], delivered: Callable[[float], None], pause: float = 0.0
) -> FastAPI:
    """Streams `planes` [T, 3, H, W] block after block to whoever connects and sends params.

    Args:
        delivered: told after each block the seconds from its being ready to its last byte sent.
        pause: seconds between two blocks.
    """
    app = FastAPI()

    @app.websocket("/ws")
    async def stream(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text(_READY)
        with suppress(WebSocketDisconnect):
            await websocket.receive_bytes()
            await _stream(websocket, planes, delivered, pause)

    return app


async def _stream(
    websocket: WebSocket,
    planes: NDArray[np.float32],
    delivered: Callable[[float], None],
    pause: float,
) -> None:
    # The JPEG, and for the last one of a block when the block was ready.
    queue: asyncio.Queue[tuple[bytes, float | None]] = asyncio.Queue(maxsize=_QUEUED)

    async def produce() -> None:
        while True:
            await asyncio.sleep(pause)
            ready_at = time.perf_counter()
            tasks = [asyncio.create_task(asyncio.to_thread(_jpeg, frame)) for frame in planes]
            for task in tasks:
                await queue.put((await task, ready_at if task is tasks[-1] else None))

    producing = asyncio.create_task(produce())
    try:
        while True:
            data, ready_at = await queue.get()
            await websocket.send_bytes(data)
            if ready_at is not None:
                delivered(time.perf_counter() - ready_at)
    finally:
        producing.cancel()


def _jpeg(frame: NDArray[np.float32]) -> bytes:
    """One frame [3, H, W] in [-1, 1] as a JPEG."""
    levels = (((frame + 1) / 2).clip(0, 1) * 255).astype(np.uint8)
    out = io.BytesIO()
    Image.fromarray(levels.transpose(1, 2, 0)).save(out, "JPEG", quality=90)
    return out.getvalue()
