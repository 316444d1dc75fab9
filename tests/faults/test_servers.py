"""Servers that misbehave in opening a stream or in one: every way ends typed, in words and in time."""

import asyncio
import contextlib
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.servers.stand_in import Peer, picture, stand_in, tcp_server

from framewire.client import (
    ConnectError,
    ConnectionLost,
    Event,
    FramewireError,
    ParamsError,
    Reconnect,
    ServerError,
    StallError,
    connect,
)
from framewire.protocol import BlockDone, Completed, Frame, Ready, pack_map

SECRETS = {"X-Internal": "their-secret", "Authorization": "Bearer their-token"}
REDIRECTS = [
    "ws://HERE/ws#part",
    "/ws#part",
    "ws://127.0.0.1:99999/ws",
    "//ELSEWHERE/ws",
    "/round",
    "/é",
    "",
    "/a\r\nLocation: /b",
]


@asynccontextmanager
async def answering(*heads: str) -> AsyncIterator[int]:
    """A server that answers each request with these bytes; HERE is its own place."""

    async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write("".join(heads).replace("HERE", f"127.0.0.1:{port}").encode())
        await writer.drain()

    async with tcp_server(handle) as port:
        yield port


@pytest.mark.parametrize("to", REDIRECTS)
async def test_a_redirect_is_typed_and_takes_no_header_to_another_server(to: str) -> None:
    """Those that the caller gave are for whom they were given, as a token is."""
    asked = []

    async def elsewhere(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await reader.read(4096))

    async with tcp_server(elsewhere) as other:
        to = to.replace("ELSEWHERE", f"127.0.0.1:{other}")
        head = f"HTTP/1.1 302 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
        async with answering(head) as port:
            with pytest.raises(ConnectError) as caught:
                async with asyncio.timeout(20):
                    await connect(f"ws://127.0.0.1:{port}/ws", headers=SECRETS)
    assert asked == []
    assert "secret" not in str(caught.value) and "token" not in str(caught.value)


@pytest.mark.parametrize("command", [("stream", "a fox"), ("doctor",), ("check", "--rule", "1.1")])
@pytest.mark.parametrize("to", ["/ws#part", "/a\r\nLocation: /b"])
async def test_no_command_ends_in_a_traceback_where_it_is_sent_on(
    command: tuple[str, ...], to: str
) -> None:
    head = f"HTTP/1.1 302 There\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"
    async with answering(head) as port:
        process = await asyncio.create_subprocess_exec(
            *(
                sys.executable,
                "-m",
                "framewire.client",
                *command,
                "--url",
                f"ws://127.0.0.1:{port}",
            ),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env={"PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))},
        )
        said, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 1, said
    assert b"Traceback" not in said
    assert f"127.0.0.1:{port}".encode() in said


@pytest.mark.parametrize(
    "head",
    [
        "no HTTP\r\n\r\n",
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 999 \x1b[2J\r\n\r\n",
        "HTTP/1.1 401 No\r\nDate: a\r\nDate: b\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 401 No\r\nDate: Mon, 99 Xyz 99999 99:99:99\r\nContent-Length: 4\r\n\r\n\x1b[2J",
        "HTTP/1.1 401 No\r\nContent-Length: 99999999999\r\n\r\n",
        "HTTP/1.1 500 No\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 101 Yes\r\n\r\n",
        "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\nConnection: =,;\r\n\r\n",
        f"HTTP/1.1 101 Yes\r\nX: {'y' * 9000}\r\n\r\n",
    ],
)
@pytest.mark.parametrize("token", [None, "eyJhIjoxfQ.eyJleHAiOjF9.x"])
async def test_an_answer_that_is_none_is_typed(head: str, token: str | None) -> None:
    """With a token its time is judged by the server's, which may tell none, or two."""
    async with answering(head) as port:
        with pytest.raises(FramewireError) as caught:
            async with asyncio.timeout(20):
                await connect(f"ws://127.0.0.1:{port}/ws", token=token)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    "url", ["ws://me@127.0.0.1:9/ws", "ws://a..b:9/ws", f"ws://{'a' * 64}.example:9/ws"]
)
async def test_an_address_that_cannot_be_is_typed(url: str) -> None:
    with pytest.raises(ConnectError):
        await connect(url)


WORDS = {
    "warned": '{"type":"warning","reason":"still here"}',
    "steered": '{"type":"steered","block":1,"prompt_version":1}',
    "started": '{"type":"started","session_id":"s","seed":1,"width":8,"height":8,"num_blocks":1,'
    '"backend":"x"}',
    "queued": '{"type":"queued","position":1}',
    "block": '{"type":"block","block":1,"index":6,"frames":0,"prompt_version":1}',
    "unknown": '{"type":"news"}',
    "ready": '{"status":"ready"}',
    "no JSON": "[",
    "binary": pack_map({"news": 1}),
}


@pytest.mark.parametrize("words", [*WORDS.values(), None], ids=[*WORDS, "all"])
async def test_words_without_frames_are_a_stall(words: str | bytes | None) -> None:
    """Once a frame has come only frames keep a stream alive; each of these could be said for ever."""

    async def talks(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say(Frame(jpeg=picture(0)))
        while True:
            for each in WORDS.values() if words is None else [words]:
                await peer.socket.send(each)
                await asyncio.sleep(0.005)

    async with stand_in(talks) as server, connect(server.url, frame_timeout=0.3) as session:
        await session.start("a fox", num_blocks=2)
        with pytest.raises(StallError):
            async with asyncio.timeout(30):
                async for _ in session:
                    pass


@pytest.mark.parametrize(
    "text",
    ['{"status":"completed"}', '{"type":"x-fal-error","error":"BAD_MESSAGE","reason":"no"}'],
)
async def test_ends_without_end_are_an_error_and_are_not_kept(text: str) -> None:
    """While nobody reads: the caller is busy with the frames that it has."""

    async def ends(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        while True:
            await peer.socket.send(text)

    async with stand_in(ends) as server, connect(server.url) as session:
        await session.start("a fox", num_blocks=2)
        async with asyncio.timeout(30):
            await server.peers[0].socket.wait_closed()
        with pytest.raises(ServerError, match="goes on ending"):
            for _ in range(1000):
                with contextlib.suppress(ParamsError, StopAsyncIteration):
                    await anext(session)


NUMBERS = [-1, 2**63, 2**64 - 1, -(2**63)]


@pytest.mark.parametrize("number", NUMBERS)
@pytest.mark.parametrize("key", ["index", "block", "prompt_version"])
async def test_a_frame_whose_numbers_cannot_be_is_a_damaged_one(key: str, number: int) -> None:
    async def numbers(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        values = {"image": picture(0), "index": 0, "block": 0, "prompt_version": 1}
        await peer.socket.send(pack_map(values | {key: number}))
        await peer.until_closed()

    async with stand_in(numbers) as server, connect(server.url) as session:
        await session.start("a fox", num_blocks=1, fmt="msgpack")
        with pytest.raises(ConnectionLost, match="damaged"):
            async with asyncio.timeout(20):
                await anext(session)


EVENTS = {
    "queued": {"position": 1},
    "started": {
        "session_id": "s", "seed": 1, "width": 64, "height": 64, "num_blocks": 2, "backend": "x",
    },
    "block": {"block": 1, "index": 6, "frames": 12, "prompt_version": 1},
    "steered": {"block": 1, "prompt_version": 1},
}  # fmt: skip


@pytest.mark.parametrize("number", [-1, 10**400, 1.5, "1e9999", [1], None], ids=range(6))
@pytest.mark.parametrize(
    ("kind", "key"),
    [(kind, key) for kind, said in EVENTS.items() for key in said if isinstance(said[key], int)],
)
async def test_an_event_whose_numbers_cannot_be_is_not_told(
    kind: str, key: str, number: object
) -> None:
    """Nor does it end a stream: it is left out, and the frames come."""
    told: list[Event] = []

    async def tells(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.socket.send(json.dumps({"type": kind} | EVENTS[kind] | {key: number}))
        await peer.say_frames(6)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with (
        stand_in(tells) as server,
        connect(server.url, on_event=told.append, reconnect=True) as session,
    ):
        await session.start("a fox", num_blocks=1)
        async with asyncio.timeout(20):
            assert len([frame async for frame in session]) == 6
    assert told == []


async def test_a_block_of_no_frames_is_no_measure_of_what_is_left() -> None:
    """A connection that is lost behind one is mended as any other."""
    connections = 0

    async def empties(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.say(Ready())
        params = await peer.hear()
        if connections == 1:
            await peer.say_frames(6)
            await peer.say(BlockDone(block=1, index=6, frames=0, prompt_version=1))
            await peer.socket.close(1011)
            return
        await peer.say_frames(12 * params.num_blocks - 6)
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    policy = Reconnect(first_delay=0.01)
    async with stand_in(empties) as server, connect(server.url, reconnect=policy) as session:
        await session.start("a fox", num_blocks=2)
        async with asyncio.timeout(20):
            assert len([frame async for frame in session]) == 18
