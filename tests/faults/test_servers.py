"""Servers that misbehave in opening a stream: every way ends typed, in words, and takes nothing along."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from support.servers.stand_in import tcp_server

from framewire.client import ConnectError, FramewireError, connect

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
