"""Proxies to go through, or to be kept from: each keeps what it was shown.

They lead every name to loopback, so that a worker here can play one on the network.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from support.servers.stand_in import tcp_server

REACHED = b"\x05\x00\x00\x01\x7f\x00\x00\x01\x00\x00"


@dataclass
class Proxy:
    """A running proxy.

    Attributes:
        asked: the hosts that it was asked for.
        seen: all that clients sent through it.
    """

    port: int = 0
    asked: list[str] = field(default_factory=list)
    seen: bytearray = field(default_factory=bytearray)


@contextlib.asynccontextmanager
async def http_proxy() -> AsyncIterator[Proxy]:
    """Tunnels what asks for a tunnel; what asks for a page gets none."""
    proxy = Proxy()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, _ = head.split(b"\r\n", 1)[0].decode().split()
        proxy.asked.append(target)
        proxy.seen += head
        if method != "CONNECT":
            writer.write(b"HTTP/1.1 502 No\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
            return
        writer.write(b"HTTP/1.1 200 Reached\r\n\r\n")
        await _relay(proxy, int(target.rpartition(":")[2]), reader, writer)

    async with tcp_server(handle) as proxy.port:
        yield proxy


@contextlib.asynccontextmanager
async def socks_proxy() -> AsyncIterator[Proxy]:
    """SOCKS 5 (RFC 1928) without authentication, for names only."""
    proxy = Proxy()

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        methods = (await reader.readexactly(2))[1]
        await reader.readexactly(methods)
        writer.write(b"\x05\x00")
        assert (await reader.readexactly(4)) == b"\x05\x01\x00\x03"
        name = await reader.readexactly((await reader.readexactly(1))[0])
        port = int.from_bytes(await reader.readexactly(2), "big")
        proxy.asked.append(f"{name.decode()}:{port}")
        writer.write(REACHED)
        await _relay(proxy, port, reader, writer)

    async with tcp_server(handle) as proxy.port:
        yield proxy


async def _relay(
    proxy: Proxy, port: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    there, to_there = await asyncio.open_connection("127.0.0.1", port)

    async def back() -> None:
        with contextlib.suppress(OSError):
            while data := await there.read(65536):
                writer.write(data)
                await writer.drain()
            writer.close()

    answering = asyncio.create_task(back())
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            proxy.seen += data
            to_there.write(data)
            await to_there.drain()
    to_there.close()
    await answering
