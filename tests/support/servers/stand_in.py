"""Servers that play a part: a worker, fal's gateway on a bad day, a token endpoint.

Small on purpose and scripted by each test; what a real worker does is tested against a real one.
"""

import asyncio
import contextlib
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from PIL import Image
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from framewire.protocol import (
    Completed,
    Connection,
    Frame,
    Message,
    Params,
    Ready,
    Role,
)


class Peer:
    """The worker's end of one connection."""

    def __init__(self, socket: ServerConnection) -> None:
        self.socket = socket
        self.wire = Connection(Role.WORKER)

    @property
    def request(self) -> Request:
        assert self.socket.request is not None
        return self.socket.request

    async def say(self, message: Message) -> None:
        await self.socket.send(self.wire.send(message))

    async def hear(self) -> Any:
        return self.wire.receive(await self.socket.recv())

    async def say_frames(self, count: int, start: int = 0) -> None:
        for index in range(start, start + count):
            await self.say(Frame(jpeg=picture(index)))

    async def until_sent(self) -> None:
        """What was said has left this process, so that an abort does not take it back."""
        while self.socket.transport.get_write_buffer_size():  # noqa: ASYNC110 (no event tells)
            await asyncio.sleep(0.001)

    async def until_closed(self) -> None:
        with contextlib.suppress(ConnectionClosed):
            while True:
                await self.socket.recv()


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class StandIn:
    """A running server: where it is, and who came."""

    url: str
    peers: list[Peer] = field(default_factory=list)


@contextlib.asynccontextmanager
async def stand_in(script: Script, *, refuse: int | None = None) -> AsyncIterator[StandIn]:
    """A server that runs `script` for each connection; `refuse` is an HTTP status instead."""
    running = StandIn("")

    async def handle(socket: ServerConnection) -> None:
        peer = Peer(socket)
        running.peers.append(peer)
        with contextlib.suppress(ConnectionClosed):
            await script(peer)

    def answer(socket: ServerConnection, request: Request) -> Response | None:
        return None if refuse is None else socket.respond(refuse, "no\n")

    async with serve(
        handle, "127.0.0.1", 0, process_request=answer, compression=None, close_timeout=1
    ) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        running.url = f"ws://127.0.0.1:{port}/ws"
        yield running


async def streams(peer: Peer) -> None:
    """Ready, then a stream of the hosted shape for each params, steered or not."""
    await peer.say(Ready())
    while True:
        params = await peer.hear()
        if isinstance(params, Params):
            await peer.say_frames(12 * (params.num_blocks or 2) - 6)
            await peer.say(Completed(session_id="s"))


def then_closes(*messages: str | bytes, code: int = 1000, reason: str = "") -> Script:
    """Says these on the raw socket, then closes."""

    async def script(peer: Peer) -> None:
        for message in messages:
            await peer.socket.send(message)
        await peer.socket.close(code, reason)

    return script


def after_params(*, code: int, reason: str = "", say: str | None = None, frames: int = 0) -> Script:
    """Ready and params, some frames, perhaps a text, then a close."""

    async def script(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(frames)
        if say is not None:
            await peer.socket.send(say)
        await peer.socket.close(code, reason)

    return script


async def says_nothing(peer: Peer) -> None:
    """Accepts and is silent."""
    await peer.until_closed()


@cache
def picture(number: int, width: int = 64, height: int = 64) -> bytes:
    """A whole JPEG, its colour telling `number`."""
    colour = (number * 37 % 256, number * 91 % 256, number * 53 % 256)
    data = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(data, "JPEG")
    return data.getvalue()


@dataclass
class TokenEndpoint:
    """A running token endpoint: where it is, and what it was asked."""

    url: str
    requests: list[tuple[dict[str, str], Any]] = field(default_factory=list)


@contextlib.asynccontextmanager
async def token_endpoint(
    answer: Callable[[int], Any], *, status: int = 200, raw: bool = False
) -> AsyncIterator[TokenEndpoint]:
    """`POST /tokens/` that answers `answer(number of the request)` as JSON, or raw."""
    running = TokenEndpoint("")

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
        headers = {
            name.lower(): value.strip()
            for name, _, value in (line.partition(":") for line in head[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        running.requests.append((headers, json.loads(body)))
        value = answer(len(running.requests))
        said = (value if raw else json.dumps(value)).encode()
        writer.write(
            f"HTTP/1.1 {status} Said\r\nContent-Length: {len(said)}\r\nConnection: close\r\n\r\n".encode()
        )
        writer.write(said)
        await writer.drain()

    async with tcp_server(handle) as port:
        running.url = f"http://127.0.0.1:{port}/tokens/"
        yield running


Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@contextlib.asynccontextmanager
async def tcp_server(handle: Handler) -> AsyncIterator[int]:
    """A bare TCP server on the port it yields; every connection is gone when it ends."""
    serving: set[asyncio.Task[None]] = set()

    async def serve_one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            await handle(reader, writer)
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve_one, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        if serving:
            await asyncio.wait(serving)
