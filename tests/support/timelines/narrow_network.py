"""A network between client and worker that is slow, and that may break once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

CHUNK = 2048
PAUSE = 0.001
"""Seconds between chunks: some two megabytes a second."""


@asynccontextmanager
async def narrow_network(url: str, *, breaks_after: int | None = None) -> AsyncIterator[str]:
    """The URL of a worker, through it.

    Args:
        breaks_after: bytes from the worker after which the first connection is cut.
    """
    there = urlsplit(url)
    left = [breaks_after]
    relays: set[asyncio.Task[None]] = set()

    async def relay(
        reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, is_down: bool
    ) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(PAUSE)
                if is_down and left[0] is not None:
                    left[0] -= len(data)
                    if left[0] <= 0:
                        left[0] = None
                        writer.transport.abort()
                        return
        writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        for coroutine in (
            relay(reader, far_writer, is_down=False),
            relay(far_reader, writer, is_down=True),
        ):
            task = asyncio.create_task(coroutine)
            relays.add(task)
            task.add_done_callback(relays.discard)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"ws://127.0.0.1:{server.sockets[0].getsockname()[1]}{there.path}"
    finally:
        server.close()
        for task in list(relays):
            task.cancel()
        await asyncio.gather(*relays, return_exceptions=True)
