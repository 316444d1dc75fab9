"""The bench's viewers: they read whatever comes and do nothing with it. Light to start."""

from __future__ import annotations

import asyncio
from multiprocessing.connection import Connection

from websockets.asyncio.client import connect

from framewire.protocol import Params
from framewire.protocol.codec import pack_map

_ENDLESS = 1_000_000_000


def view(pipe: Connection, url: str, sessions: int, width: int, height: int) -> None:
    """Be `sessions` viewers until killed; a process of its own runs this."""
    params = Params(prompt="a red fox", width=width, height=height, num_blocks=_ENDLESS, seed=1)

    async def view_one() -> None:
        async with connect(url, compression=None, max_size=None, proxy=None) as websocket:
            await websocket.send(pack_map(params.wire()))
            async for _ in websocket:
                pass

    async def view_all() -> None:
        await asyncio.gather(*(view_one() for _ in range(sessions)))

    pipe.send("viewing")
    asyncio.run(view_all())
