"""Callers without a token that attack the doors; each does its worst within a few seconds and leaves.

`HOSTILE_CALLERS` names them all.
"""

import asyncio
import contextlib
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from urllib.parse import urlsplit

PATIENCE = 20.0
BINARY, CONTINUATION, PING, FIN = 0x02, 0x00, 0x09, 0x80
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
HostileCaller = Callable[[str], Awaitable[None]]


def frame(opcode: int, payload: bytes, *, final: bool = True, length: int | None = None) -> bytes:
    """A masked frame of a client; `length` is what its header says, where that is not so."""
    head = struct.pack(">BBQ", opcode | (FIN if final else 0), 0x80 | 127, length or len(payload))
    return head + bytes(4) + payload


@contextlib.asynccontextmanager
async def connection(url: str) -> AsyncIterator[Streams]:
    """A TCP connection, dropped in the end."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


@contextlib.asynccontextmanager
async def websocket(url: str) -> AsyncIterator[Streams]:
    """A websocket without a library: past the answer to its upgrade."""
    async with connection(url) as (reader, writer):
        writer.write(UPGRADE)
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        assert b" 101 " in head
        yield reader, writer


async def _pour(writer: asyncio.StreamWriter, data: bytes, times: int) -> None:
    """Write as fast as it is taken, until the worker has had enough."""
    with contextlib.suppress(ConnectionError, TimeoutError):
        async with asyncio.timeout(3):
            for _ in range(times):
                writer.write(data)
                await writer.drain()


async def says_nothing_often(url: str) -> None:
    async with contextlib.AsyncExitStack() as held:
        for _ in range(100):
            await held.enter_async_context(connection(url))


async def sends_halves(url: str) -> None:
    """Messages of 15 MB that lack most of their bytes."""
    async with contextlib.AsyncExitStack() as held:
        for _ in range(4):
            _, writer = await held.enter_async_context(websocket(url))
            await _pour(writer, frame(BINARY, bytes(3_000_000), length=15_000_000), 1)


async def sends_parts_without_end(url: str) -> None:
    async with websocket(url) as (_, writer):
        writer.write(frame(BINARY, b"x", final=False))
        await _pour(writer, frame(CONTINUATION, b"", final=False) * 1000, 30)


async def pings_and_does_not_read(url: str) -> None:
    async with websocket(url) as (_, writer):
        await _pour(writer, frame(PING, bytes(125)) * 1000, 30)


async def lies_about_a_length(url: str) -> None:
    async with websocket(url) as (reader, writer):
        writer.write(frame(BINARY, b"x", length=2**62))
        await asyncio.wait_for(reader.read(), PATIENCE)


async def speaks_tls_to_a_plain_port(url: str) -> None:
    for _ in range(20):
        async with connection(url) as (reader, writer):
            writer.write(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(500))
            await asyncio.wait_for(reader.read(), PATIENCE)


async def asks_for_a_url_without_end(url: str) -> None:
    async with connection(url) as (reader, writer):
        writer.write(b"GET /")
        await _pour(writer, b"a" * 100_000, 20)
        with contextlib.suppress(ConnectionError):
            await asyncio.wait_for(reader.read(), PATIENCE)


async def asks_for_much_in_one_breath(url: str) -> None:
    """Pipelined requests, of which no answer is read."""
    async with connection(url) as (_, writer):
        await _pour(writer, b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n" * 100, 20)


async def posts_a_body_without_end(url: str) -> None:
    """To a mint, and to a route that reads none."""
    for path in (b"/tokens/", b"/api/fal", b"/health"):
        async with connection(url) as (_, writer):
            head = b" HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\n"
            writer.write(b"POST " + path + head)
            await _pour(writer, b"100000\r\n" + bytes(0x100000) + b"\r\n", 30)


async def uploads_without_end(url: str) -> None:
    """Files, parts of forms and parts of files, all broken off."""
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
    for path, body in (
        (b"/files/upload", b"x"),
        (b"/upload_video", form),
        (b"/upload_video", b"x"),
    ):
        async with connection(url) as (_, writer):
            head = b" HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n"
            head += b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
            writer.write(b"POST " + path + head + b"%x\r\n%s\r\n" % (len(body), body))
            await _pour(writer, b"100000\r\n" + bytes(0x100000) + b"\r\n", 30)


async def forges_headers(url: str) -> None:
    """Names for itself and for the worker that are none."""
    for name in (b"X-Forwarded-For: ", b"Host: ", b"Origin: ", b"X-Forwarded-Proto: "):
        for value in (b"\xff\xfe", b"[::1", b"a" * 5000, b"127.0.0.1, " * 300, b"javascript:"):
            async with connection(url) as (reader, writer):
                host = b"" if name == b"Host: " else b"Host: 127.0.0.1\r\n"
                writer.write(b"GET /health HTTP/1.1\r\n" + host + name + value + b"\r\n\r\n")
                assert await asyncio.wait_for(reader.readline(), PATIENCE), "an answer"


HOSTILE_CALLERS: tuple[HostileCaller, ...] = (
    says_nothing_often,
    sends_halves,
    sends_parts_without_end,
    pings_and_does_not_read,
    lies_about_a_length,
    speaks_tls_to_a_plain_port,
    asks_for_a_url_without_end,
    asks_for_much_in_one_breath,
    posts_a_body_without_end,
    uploads_without_end,
    forges_headers,
)
