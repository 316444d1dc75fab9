"""Redirects of an upgrade: followed within the origin, and never with a caller's secrets elsewhere."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from http import HTTPStatus

import pytest
from support.servers.stand_in import picture
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from framewire.client import ConnectError, connect
from framewire.client.cli import main
from framewire.protocol import Completed, Connection, Frame, Ready, Role

SECRET = "secret-value-of-a-header"


class Elsewhere:
    """A server that sends every upgrade at `/ws` on to `location`, and streams at `/ok`."""

    def __init__(self, location: str) -> None:
        self.location = location
        self.port = 0
        self.seen: list[Request] = []

    async def answer(self, socket: ServerConnection, request: Request) -> Response | None:
        self.seen.append(request)
        if request.path != "/ws":
            return None
        response = socket.respond(HTTPStatus.FOUND, "")
        response.headers["Location"] = self.location.format(port=self.port)
        return response

    async def stream(self, socket: ServerConnection) -> None:
        wire = Connection(Role.WORKER)
        await socket.send(wire.send(Ready()))
        wire.receive(await socket.recv())
        await socket.send(wire.send(Frame(jpeg=picture(0))))
        await socket.send(wire.send(Completed(session_id="s")))
        await socket.wait_closed()


@contextlib.asynccontextmanager
async def sends_on(location: str) -> AsyncIterator[Elsewhere]:
    there = Elsewhere(location)
    async with serve(there.stream, "127.0.0.1", 0, process_request=there.answer) as server:
        there.port = next(iter(server.sockets)).getsockname()[1]
        yield there


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/ok",
        "file:///etc/passwd",
        "ws://localhost:{port}/ok",
        "ws://127.0.0.1:1/ok",
        "http://[bad",
        "ws://name:password@127.0.0.1:{port}/ok",
    ],
)
async def test_another_origin_is_an_error_in_words_and_is_told_no_secret(location: str) -> None:
    async with sends_on(location) as there:
        url = f"ws://127.0.0.1:{there.port}/ws"
        with pytest.raises(ConnectError) as raised:
            await connect(url, headers={"X-Secret": SECRET})
    assert [request.path for request in there.seen] == ["/ws"], "nobody else was asked"
    assert "password" not in str(raised.value) and SECRET not in str(raised.value)


@pytest.mark.parametrize("location", ["/ok", "//127.0.0.1:{port}/ok", "ws://127.0.0.1:{port}/ok"])
async def test_a_redirect_within_the_origin_is_followed_with_the_callers_headers(
    location: str,
) -> None:
    async with sends_on(location) as there:
        url = f"ws://127.0.0.1:{there.port}/ws"
        async with connect(url, headers={"X-Secret": SECRET}) as session:
            await session.start("a fox", num_blocks=1)
            async with asyncio.timeout(60):
                assert len([frame async for frame in session]) == 1
    assert [request.headers["X-Secret"] for request in there.seen] == [SECRET, SECRET]


@pytest.mark.parametrize("command", ["stream", "check", "doctor"])
async def test_commands_say_it_in_a_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    async with sends_on("http://[bad") as there:
        url = f"ws://127.0.0.1:{there.port}/ws"
        words = {"stream": ["stream", "a fox", "--url", url], "check": ["check", url]}
        code = await asyncio.to_thread(main, words.get(command, ["doctor", "--url", url]))
    shown = capsys.readouterr()
    assert code != 0
    assert "Traceback" not in shown.err and "sends on to" in shown.out + shown.err
