"""Viewers that misbehave. Each function is one of them: it connects, does its worst, and leaves.

`BAD_PEERS` names them all. None waits for longer than `HOLD` seconds after its worst, so that
what the worker still holds then is the worker's fault.
"""

import asyncio
import contextlib
import os
import random
import re
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any
from urllib.parse import urlsplit

import msgpack
import websockets
from support.viewers.raw_viewer import RawViewer, colour, connected
from websockets.exceptions import WebSocketException
from websockets.protocol import State

TINY = {"width": 64, "height": 64}
ENDLESS = {"prompt": "bad", "num_blocks": 10**9} | TINY
HOLD = 30.0
PROMPTS = 10_000
GONE = (WebSocketException, OSError, EOFError, AssertionError, TimeoutError, RuntimeError)
"""How a worker that has had enough shows itself to the peer."""

Peer = Callable[[str, random.Random], Awaitable[None]]


def reset(viewer: RawViewer) -> None:
    """TCP RST: gone without a FIN, what was on the way is lost."""
    opened = viewer.socket.transport.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    viewer.socket.transport.abort()


async def until_dropped(viewer: RawViewer) -> None:
    """Wait, without reading, until the worker drops the connection, `HOLD` seconds at most."""
    with contextlib.suppress(*GONE):
        async with asyncio.timeout(HOLD):
            while True:
                viewer.socket.transport.write(b"\x8a\x80\x00\x00\x00\x00")  # a pong, unasked
                if viewer.socket.transport.is_closing():
                    return
                await asyncio.sleep(0.05)


@contextlib.asynccontextmanager
async def in_background(work: Coroutine[Any, Any, Any]) -> AsyncIterator[asyncio.Task[Any]]:
    """Ends it with the block, whatever becomes of it."""
    task = asyncio.create_task(work)
    try:
        yield task
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@contextlib.asynccontextmanager
async def bare(
    url: str,
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A TCP connection, reset in the end."""
    where = urlsplit(url)
    reader, writer = await asyncio.open_connection(where.hostname, where.port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def streaming(url: str, **params: object) -> AsyncIterator[RawViewer]:
    """A viewer in mid stream."""
    async with connected(url, ping_interval=None) as viewer:
        await viewer.say(**(ENDLESS | params))
        await viewer.frame()
        yield viewer


async def stalls(url: str, dice: random.Random) -> None:
    """Stops reading while large frames are due, then is dropped."""
    async with connected(url, ping_interval=None) as viewer:
        viewer.socket.transport.pause_reading()
        await viewer.say(**(ENDLESS | {"width": 832, "height": 480}))
        await until_dropped(viewer)
        viewer.socket.transport.abort()


async def resets_in_mid_block(url: str, dice: random.Random) -> None:
    async with streaming(url) as viewer:
        await viewer.frame(dice.randint(1, 20))
        reset(viewer)


async def vanishes_in_mid_block(url: str, dice: random.Random) -> None:
    """Falls silent: reads nothing, answers nothing, and does not close."""
    async with streaming(url, width=320, height=192) as viewer:
        viewer.socket.transport.pause_reading()
        await asyncio.sleep(2 * dice.random())
        viewer.socket.transport.abort()


async def floods_with_prompts(url: str, dice: random.Random) -> None:
    """Ten thousand prompts as fast as they go, while reading on."""
    async with streaming(url) as viewer, in_background(viewer.frame(10**9)):
        for number in range(PROMPTS):
            await viewer.say(prompt=f"prompt {number}", interp_steps=1)
            if number % 100 == 0:
                await asyncio.sleep(0)
        viewer.socket.transport.abort()


async def holds_many_maps(url: str, dice: random.Random) -> None:
    """Maps for blocks that never come, far more than are held."""
    async with streaming(url) as viewer:
        for number in range(500):
            await viewer.say(prompt="x" * 8000, at_block=10**9 + number)
        viewer.socket.transport.abort()


async def resets_the_stream(url: str, dice: random.Random) -> None:
    async with streaming(url) as viewer:
        for number in range(50):
            await viewer.say(action="reset", seed=number)
        await viewer.frame()
        viewer.socket.transport.abort()


async def sends_rubbish(url: str, dice: random.Random) -> None:
    """Random bytes until the worker has had enough."""
    with contextlib.suppress(*GONE):
        async with connected(url) as viewer:
            for _ in range(40):
                data = os.urandom(dice.randint(1, 300))
                await viewer.say_raw(data if dice.random() < 0.7 else data.hex())
            await viewer.end()


async def steers_with_rubbish(url: str, dice: random.Random) -> None:
    with contextlib.suppress(*GONE):
        async with streaming(url) as viewer:
            for _ in range(200):
                key = dice.choice(["prompt", "strength", "image", "action", "seed", "at_block"])
                await viewer.say(**{key: dice.choice([b"x", "x", -1, 1e300, [], {"a": []}, 2**60])})
            viewer.socket.transport.abort()


async def sends_bad_pictures(url: str, dice: random.Random) -> None:
    """Live input that is none, in between some that is."""
    async with streaming(url) as viewer:
        for number in range(60):
            good = colour((number, 0, 0), (64, 64))
            await viewer.say(image=dice.choice([good, good[:-20], b"\x89PNG\r\n\x1a\n", b"no"]))
        await viewer.frame(3)
        viewer.socket.transport.abort()


async def sends_too_much(url: str, dice: random.Random) -> None:
    with contextlib.suppress(*GONE):
        async with connected(url) as viewer:
            await viewer.say_raw(bytes(17 * 2**20))
            await viewer.end()


async def trickles_the_handshake(url: str, dice: random.Random) -> None:
    """A request, and then another one byte at a time, so that it never ends."""
    async with bare(url) as (reader, writer):
        writer.write(b"GET /health HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
        head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), HOLD)
        length = re.search(rb"content-length: (\d+)", head)
        assert length is not None
        await reader.readexactly(int(length[1]))
        with contextlib.suppress(*GONE):
            async with asyncio.timeout(HOLD):
                for byte in b"GET /ws HTTP/1.1\r\nHost: " + b"a" * 1000:
                    writer.write(bytes([byte]))
                    await writer.drain()
                    await asyncio.sleep(0.02)
        assert writer.is_closing() or reader.at_eof(), "it waits for the rest"


async def withholds_a_body(url: str, dice: random.Random) -> None:
    """A request whose headers promise a body that does not come."""
    async with bare(url) as (reader, writer):
        writer.write(b"POST /tokens/ HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 9\r\n\r\n{")
        await until_eof(reader)


async def says_nothing_at_all(url: str, dice: random.Random) -> None:
    """A connection without a request; the worker closes it."""
    async with bare(url) as (reader, _):
        await until_eof(reader)


async def until_eof(reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(ConnectionResetError):
        assert await asyncio.wait_for(reader.read(), HOLD) == b"", "nothing is answered"


async def trickles_a_message(url: str, dice: random.Random) -> None:
    """Params of a good size, one byte at a time, until the worker's patience ends."""
    data = msgpack.packb(ENDLESS | {"extra": "x" * 1000})
    header = b"\x82\xfe" + struct.pack(">H", len(data)) + bytes(4)
    with contextlib.suppress(*GONE):
        async with connected(url) as viewer, in_background(viewer.end()) as ending:
            for byte in header + data:
                viewer.socket.transport.write(bytes([byte]))
                await asyncio.wait([ending], timeout=0.01)
                if ending.done() or viewer.socket.state is not State.OPEN:
                    break
            viewer.socket.transport.abort()
            await ending


async def connects_and_leaves(url: str, dice: random.Random) -> None:
    for _ in range(5):
        async with websockets.connect(url, proxy=None, close_timeout=0.1) as opened:
            if dice.random() < 0.5:
                opened.transport.abort()


async def asks_for_a_failure(url: str, dice: random.Random) -> None:
    """A stream that the backend breaks in its second block: by raising, or by a wrong shape."""
    with contextlib.suppress(*GONE):
        async with connected(url) as viewer:
            await viewer.say(
                **(ENDLESS | {"prompt": dice.choice(["raise", "shape", "slow raise"])})
            )
            await viewer.end()


async def breaks_the_framing(url: str, dice: random.Random) -> None:
    """Bytes that are no WebSocket frame, in mid stream."""
    with contextlib.suppress(*GONE):
        async with streaming(url) as viewer:
            viewer.socket.transport.write(
                dice.choice([b"\xff" * 20, b"\x83\x00", b"\x82\x05hello"])
            )
            await viewer.end()


BAD_PEERS: tuple[Peer, ...] = (
    stalls,
    resets_in_mid_block,
    vanishes_in_mid_block,
    floods_with_prompts,
    holds_many_maps,
    resets_the_stream,
    sends_rubbish,
    steers_with_rubbish,
    sends_bad_pictures,
    sends_too_much,
    trickles_the_handshake,
    withholds_a_body,
    says_nothing_at_all,
    trickles_a_message,
    connects_and_leaves,
    asks_for_a_failure,
    breaks_the_framing,
)
