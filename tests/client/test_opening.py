"""Connecting: every way a worker or a gateway can refuse becomes one exception that helps."""

import asyncio
import logging
from typing import Any

import jwt
import pytest
from support.servers.stand_in import (
    Peer,
    says_nothing,
    stand_in,
    streams,
    tcp_server,
    then_closes,
    token_endpoint,
)

from framewire.client import (
    AuthError,
    CapacityError,
    ConnectError,
    ConnectionLost,
    Event,
    FramewireError,
    Queued,
    ServerError,
    Session,
    WorkerFailedError,
    connect,
)
from framewire.client.address import Address
from framewire.client.opening import Opener
from framewire.client.tokens import GivenToken
from framewire.protocol import Ready

READY = '{"status":"ready"}'
FAILED = '{"type":"x-fal-error","error":"INTERNAL_ERROR","reason":"no GPU"}'


async def test_connect_waits_for_ready() -> None:
    """A session is handed out only once params may be sent."""
    async with stand_in(streams) as server, connect(server.url) as session:
        assert "ready" in repr(session)


async def test_connect_can_be_awaited() -> None:
    """For those who close the session themselves."""
    async with stand_in(streams) as server:
        session = await connect(server.url)
        await session.close()
        assert isinstance(session, Session)


async def test_one_connect_can_open_several_sessions() -> None:
    """Each with a buffer of its own."""
    async with stand_in(streams) as server:
        connecting = connect(server.url)
        first, second = await connecting, await connecting
        await first.close()
        await second.start("a fox", num_blocks=1)
        assert len([frame async for frame in second]) == 6
        await second.close()


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (401, AuthError),
        (403, AuthError),
        (404, ConnectError),
        (429, CapacityError),
        (500, ConnectError),
        (503, CapacityError),
    ],
)
async def test_a_refused_upgrade_becomes_a_typed_error(
    status: int, kind: type[FramewireError]
) -> None:
    """The HTTP status tells what to do."""
    async with stand_in(streams, refuse=status) as server:
        with pytest.raises(kind, match=str(status)) as caught:
            await connect(server.url)
    assert type(caught.value) is kind


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (1000, ConnectError),
        (1008, AuthError),
        (1011, ConnectError),
        (1012, ConnectError),
        (1013, CapacityError),
    ],
)
async def test_closed_before_ready(code: int, kind: type[FramewireError]) -> None:
    """fal's gateway upgrades first and refuses after, by close code, at times without a reason."""
    async with stand_in(then_closes(code=code)) as server:
        with pytest.raises(kind, match=str(code)) as caught:
            await connect(server.url)
    assert type(caught.value) is kind
    assert not isinstance(caught.value, ConnectionLost)


@pytest.mark.parametrize(
    ("text", "kind", "code"),
    [
        (FAILED, WorkerFailedError, "INTERNAL_ERROR"),
        ('{"error":"Unauthorized"}', AuthError, "UNAUTHORIZED"),
        ('{"status":"error","error":"UNAUTHORIZED","reason":"x"}', AuthError, "UNAUTHORIZED"),
        ('{"error":"NO_RUNNER","reason":"x"}', ServerError, "NO_RUNNER"),
    ],
)
async def test_an_error_message_instead_of_ready(
    text: str, kind: type[FramewireError], code: str
) -> None:
    """Said in words, in our shape or in a gateway's; the close after it adds nothing."""
    async with stand_in(then_closes(text, code=1011)) as server:
        with pytest.raises(kind) as caught:
            await connect(server.url)
    assert caught.value.code == code


async def test_silence_after_the_upgrade_ends_in_time() -> None:
    """The wait for ready is bounded, and the error names the option."""
    async with stand_in(says_nothing) as server:
        with pytest.raises(ConnectError, match="ready_timeout"):
            await connect(server.url, ready_timeout=0.05)


async def test_silence_instead_of_the_upgrade_ends_in_time() -> None:
    """A port that accepts and says nothing does not hang the caller."""

    async def hold(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with tcp_server(hold) as port:
        with pytest.raises(ConnectError, match="did not answer"):
            await connect(f"ws://127.0.0.1:{port}/ws", open_timeout=0.05)


async def test_nobody_there() -> None:
    """The most common mistake gets the most helpful hint."""
    with pytest.raises(ConnectError, match="is the worker running there"):
        await connect("ws://127.0.0.1:9/ws")


async def test_no_websocket_server_there() -> None:
    """A web server of another kind is told from one that refuses."""

    async def other(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-nothing to see\r\n")

    async with tcp_server(other) as port:
        with pytest.raises(ConnectError, match="cannot be reached"):
            await connect(f"ws://127.0.0.1:{port}/ws")


async def test_events_before_ready_reach_the_caller() -> None:
    """A place in the queue is shown even before the worker is ready."""
    told: list[Event] = []

    async def queues(peer: Peer) -> None:
        await peer.say(Queued(position=2))
        await peer.say(Ready())
        await peer.until_closed()

    async with stand_in(queues) as server, connect(server.url, on_event=told.append):
        assert told == [Queued(position=2)]


async def test_a_worker_gets_its_token_as_a_header() -> None:
    """Headers stay out of access logs; URLs do not."""
    async with (
        stand_in(streams) as server,
        connect(server.url, token="abc", headers={"X-Mine": "1"}),
    ):
        request = server.peers[0].request
        assert request.headers["Authorization"] == "Bearer abc"
        assert request.headers["X-Mine"] == "1"
        assert "abc" not in request.path
        assert "permessage-deflate" not in request.headers.get("Sec-WebSocket-Extensions", "")


async def test_fals_gateway_gets_its_token_in_the_query() -> None:
    """As fal's own clients send it."""
    async with stand_in(streams) as server:
        url = server.url.replace("/ws", "/me/mine/ws")
        wire = await Opener(Address(url, "mine", "", is_fal=True), GivenToken("abc"))()
        await wire.close()
        assert server.peers[0].request.path == "/me/mine/ws?fal_jwt_token=abc"


async def test_a_key_becomes_a_token_and_a_refused_one_is_not_used_again() -> None:
    """Key to token to socket, end to end; after a 1008 the next attempt mints anew."""

    async def refuses_the_first(peer: Peer) -> None:
        if len(server.peers) == 1:
            await peer.socket.close(1008)
        await streams(peer)

    async with (
        token_endpoint(lambda n: jwt.encode({"n": n}, "k" * 32)) as tokens,
        stand_in(refuses_the_first) as server,
    ):
        connecting = connect(server.url, key="mine", token_url=tokens.url)
        with pytest.raises(AuthError):
            await connecting
        await (await connecting).close()
    sent = [peer.request.headers["Authorization"] for peer in server.peers]
    assert len(set(sent)) == 2


async def test_no_token_in_any_log_or_error(caplog: pytest.LogCaptureFixture) -> None:
    """Even at DEBUG, where websockets logs whole requests."""
    caplog.set_level(logging.DEBUG)
    token = jwt.encode({"a": 1}, "k" * 32)
    async with stand_in(then_closes(code=1008)) as server:
        for is_fal in (True, False):
            opener = Opener(Address(server.url, "a", "", is_fal), GivenToken(token))
            with pytest.raises(AuthError) as caught:
                await opener()
            assert token not in f"{caught.value} {caught.value!r} {opener!r}"
    ours = [record for record in caplog.records if record.name.startswith("framewire.client")]
    assert any("fal_jwt_token=…" in record.getMessage() for record in ours)
    assert all(token not in record.getMessage() for record in ours)


async def test_cancelling_while_it_opens_leaves_no_socket() -> None:
    """An impatient caller does not leak a connection."""
    came, gone = asyncio.Event(), asyncio.Event()

    async def script(peer: Peer) -> None:
        came.set()
        await peer.until_closed()
        gone.set()

    async with stand_in(script) as server:
        opening: Any = asyncio.ensure_future(_connected(server.url))
        async with asyncio.timeout(30):
            await came.wait()
            opening.cancel()
            await gone.wait()
        with pytest.raises(asyncio.CancelledError):
            await opening


async def _connected(url: str) -> Session:
    return await connect(url)
