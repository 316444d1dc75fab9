"""Messages that never end: what they hold is bounded, and who sends whole ones does not notice."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

import msgpack
import pytest
from support.servers.worker_server import PATIENCE, Running, lane_held, serving
from support.viewers.raw_viewer import SMALL, Closed, RawViewer, colour, connected, streamed

from framewire.worker.server import uvicorn_websocket
from framewire.worker.server.doors import half_messages
from framewire.worker.server.uvicorn_websocket import REPLY_BYTES, WebSocketProtocol

STREAM = {"prompt": "a", "seed": 1, "num_blocks": 3}
HEAD = (
    "GET /ws HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
BINARY, CONTINUATION, PING, FIN = 0x02, 0x00, 0x09, 0x80


def frame(opcode: int, payload: bytes, *, final: bool = True, length: int | None = None) -> bytes:
    """A masked frame of a client; `length` is what its header says, where that is not so."""
    head = struct.pack(">BBQ", opcode | (FIN if final else 0), 0x80 | 127, length or len(payload))
    return head + bytes(4) + payload


def held_by(worker: Running) -> int:
    """Bytes of messages in the worker's memory."""
    connections = worker.server.server_state.connections
    return sum(each._held for each in connections if isinstance(each, WebSocketProtocol))


async def until_held(worker: Running, least: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while held_by(worker) < least:  # noqa: ASYNC110 (the protocol tells nobody)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def bare(worker: Running) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A websocket without a library: past the answer to its upgrade."""
    at = urlsplit(worker.url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        writer.write(HEAD.encode())
        assert b" 101 " in await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), PATIENCE)
        yield reader, writer
    finally:
        writer.transport.abort()


async def closed(viewer: RawViewer) -> Closed:
    end = (await viewer.end()).last
    assert isinstance(end, Closed)
    return end


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(uvicorn_websocket, "MESSAGE_SECONDS", 0.2)
    return 0.2


HALVES = {
    "the first byte of a head": b"\x82",
    "a head alone": frame(BINARY, b"", length=1000),
    "all but the last byte": frame(BINARY, bytes(999), length=1000),
    "a part without an end": frame(BINARY, bytes(10), final=False),
    "a part, and a ping": frame(BINARY, bytes(10), final=False) + frame(PING, b""),
}


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("half", HALVES.values(), ids=HALVES)
async def test_a_message_that_is_not_whole_in_time_is_closed_and_others_stream_on(
    half: bytes,
) -> None:
    async with serving() as worker, connected(worker.url, ping_interval=None) as viewer:
        alone = await streamed(worker.url, **STREAM)
        viewer.socket.transport.write(half)
        assert await streamed(worker.url, **STREAM) == alone
        end = await closed(viewer)
        assert end.code == 1008 and "not whole" in end.reason
        assert held_by(worker) == 0
        assert worker.inside.metrics.refusals.labels("late_message")._value.get() == 1


@pytest.mark.usefixtures("impatient")
async def test_a_message_that_comes_byte_by_byte_is_closed_however_steadily_it_comes() -> None:
    async with serving() as worker, connected(worker.url, ping_interval=None) as viewer:
        ending = asyncio.create_task(closed(viewer))
        for byte in frame(BINARY, bytes(10**6)):
            viewer.socket.transport.write(bytes([byte]))
            await asyncio.wait([ending], timeout=0.01)
            if ending.done():
                break
        assert (await ending).code == 1008


async def test_whole_messages_one_behind_the_other_have_no_time_limit_together(
    monkeypatch: pytest.MonkeyPatch, impatient: float
) -> None:
    """At no look is the buffer empty, for each piece has the end of one and the start of another."""
    async with serving() as worker, connected(worker.url) as viewer:
        message = frame(BINARY, msgpack.packb({"prompt": ""}))  # refused, so that each is answered
        loop = asyncio.get_running_loop()
        until = loop.time() + 3 * impatient
        for _ in range(19):
            viewer.socket.transport.write(message[7:] if _ else message)
            viewer.socket.transport.write(message[:7])
            assert (await viewer.next())["type"] == "x-fal-error"
            await asyncio.sleep(max(0.0, min(impatient / 4, until - loop.time())))
        viewer.socket.transport.write(frame(BINARY, msgpack.packb(STREAM | SMALL))[7:])
        assert len((await viewer.stream()).frames) == 30


async def test_time_in_which_the_worker_does_not_read_is_not_the_senders(
    monkeypatch: pytest.MonkeyPatch, impatient: float
) -> None:
    passed = asyncio.Semaphore(0)
    due = WebSocketProtocol._half_is_due

    def half_is_due(protocol: WebSocketProtocol) -> None:
        if protocol.read_paused:
            passed.release()
        due(protocol)

    monkeypatch.setattr(WebSocketProtocol, "_half_is_due", half_is_due)
    live = {"prompt": "a", "webcam_mode": True, "input": "all", "num_blocks": 8}
    async with serving() as worker, connected(worker.url, ping_interval=None) as viewer:
        await viewer.say(**live, **SMALL)
        picture = msgpack.packb({"image": colour((255, 0, 0)) + bytes(300_000)})
        async with lane_held(worker.inside):
            sending = asyncio.create_task(send_pictures(viewer, picture, 40))
            for _ in range(3):
                await asyncio.wait_for(passed.acquire(), PATIENCE)
        await viewer.frame(12)
        sending.cancel()
        await asyncio.gather(sending, return_exceptions=True)
        viewer.socket.transport.abort()


async def send_pictures(viewer: RawViewer, picture: bytes, count: int) -> None:
    for _ in range(count):
        await viewer.say_raw(picture)


async def test_over_the_budget_the_oldest_message_is_closed_and_the_newest_comes_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(half_messages, "MOST_BYTES", 1_000_000)
    whole = frame(BINARY, msgpack.packb(STREAM | SMALL | {"extra": bytes(600_000)}))
    async with serving() as worker:
        alone = await streamed(worker.url, **STREAM)
        async with (
            connected(worker.url, ping_interval=None) as oldest,
            connected(worker.url, ping_interval=None) as newest,
        ):
            oldest.socket.transport.write(whole[:-1])
            await until_held(worker, len(whole) - 20)
            newest.socket.transport.write(whole[:-1])
            end = await closed(oldest)
            assert end.code == 1009 and "too many messages" in end.reason
            await until_held(worker, len(whole) - 20)
            newest.socket.transport.write(whole[-1:])
            assert (await newest.stream()).frames == alone
        assert worker.inside.metrics.refusals.labels("half_messages")._value.get() == 1


async def test_nothing_is_assembled_after_a_refusal() -> None:
    message = frame(BINARY, os.urandom(1_000_000), length=16_000_000)
    async with serving(auth="jwt", key="k" * 16) as worker, bare(worker) as (reader, writer):
        async with asyncio.timeout(PATIENCE):
            for _ in range(15):  # the worker reads on, so that its words are seen
                writer.write(message)
                await writer.drain()
                assert held_by(worker) <= REPLY_BYTES
                message = message[-1_000_000:]
            assert b"UNAUTHORIZED" in await reader.read(1000)


async def test_a_half_message_is_dropped_where_its_viewer_is_refused_meanwhile() -> None:
    """It sends a start frame while its time to send params runs out."""
    async with (
        serving(ready_timeout=0.3) as worker,
        connected(worker.url, ping_interval=None) as viewer,
    ):
        viewer.socket.transport.write(frame(BINARY, bytes(500_000), length=600_000))
        assert (await viewer.next())["error"] == "TIMEOUT"
        assert (await closed(viewer)).code == 1008
        assert held_by(worker) == 0 == worker.inside.metrics.half_message_bytes._value.get()


async def test_many_parts_take_no_more_than_they_have_and_come_together() -> None:
    async with serving() as worker, bare(worker) as (_, writer):
        alone = await streamed(worker.url, **STREAM)
        params = msgpack.packb(STREAM | SMALL)
        writer.write(frame(BINARY, params[:1], final=False))
        for _ in range(50):
            writer.write(frame(CONTINUATION, b"", final=False) * 1000)
            await writer.drain()
        await until_held(worker, 1)
        (protocol,) = worker.server.server_state.connections
        assert isinstance(protocol, WebSocketProtocol) and len(protocol.frames) == 1
        async with connected(worker.url) as viewer:
            for part in parts(params):
                viewer.socket.transport.write(part)
            assert (await viewer.stream()).frames == alone


def parts(message: bytes) -> Iterator[bytes]:
    """One frame a byte."""
    for index in range(len(message)):
        opcode = CONTINUATION if index else BINARY
        yield frame(opcode, message[index : index + 1], final=index == len(message) - 1)


async def test_pongs_do_not_pile_up_for_a_viewer_that_does_not_read() -> None:
    async with serving() as worker, bare(worker) as (reader, writer):
        reader._transport.pause_reading()
        (protocol,) = worker.server.server_state.connections
        pings, most = frame(PING, bytes(125)) * 1000, 0
        async with asyncio.timeout(PATIENCE):
            while not most:  # the kernel's buffers first
                writer.write(pings)
                await writer.drain()
                most = protocol.transport.get_write_buffer_size()
            for _ in range(100):
                writer.write(pings)
                await writer.drain()
                most = max(most, protocol.transport.get_write_buffer_size())
        assert most < 2 * 256 * 1024 + 64 * 1024, "what one read may bring, and a full buffer"
