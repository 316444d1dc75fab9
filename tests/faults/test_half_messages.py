"""Messages that never end: what they hold is bounded, and who sends whole ones does not notice."""

import asyncio
import contextlib
import os
from collections.abc import Iterator

import msgpack
import pytest
from support.servers.worker_server import PATIENCE, Running, lane_held, serving
from support.viewers.hostile_callers import BINARY, CONTINUATION, PING, frame, websocket
from support.viewers.raw_viewer import SMALL, Closed, RawViewer, colour, connected, streamed

from framewire.worker.server.doors import half_messages
from framewire.worker.server.on_uvicorn import websocket as uvicorn_websocket
from framewire.worker.server.on_uvicorn.websocket import REPLY_BYTES, WebSocketProtocol

STREAM = {"prompt": "a", "seed": 1, "num_blocks": 3}


def held_by(worker: Running) -> int:
    """Bytes of messages in the worker's memory."""
    return sum(each._held for each in connections(worker))


def connections(worker: Running) -> list[WebSocketProtocol]:
    found = worker.server.server_state.connections
    return [each for each in found if isinstance(each, WebSocketProtocol)]


async def until_held(worker: Running, least: int) -> None:
    async with asyncio.timeout(PATIENCE):
        while held_by(worker) < least:  # noqa: ASYNC110 (the protocol tells nobody)
            await asyncio.sleep(0.005)


async def closed(viewer: RawViewer) -> Closed:
    end = (await viewer.end()).last
    assert isinstance(end, Closed)
    return end


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uvicorn_websocket, "MESSAGE_SECONDS", 0.2)


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


def watched_until(protocol: WebSocketProtocol) -> float:
    """When, on the loop's clock, what has come of a message is given up."""
    assert protocol._half_timer is not None
    return protocol._half_timer.when()


async def test_each_of_many_messages_has_a_time_of_its_own() -> None:
    """At no look is the buffer empty, for each piece has the end of one and the start of another."""
    message = frame(BINARY, msgpack.packb({"prompt": ""}))  # refused, so that each is answered
    async with serving() as worker, connected(worker.url) as viewer:
        (protocol,) = connections(worker)
        viewer.socket.transport.write(message[:7])
        await until_held(worker, 1)
        until = watched_until(protocol)
        for _ in range(10):
            viewer.socket.transport.write(message[7:] + message[:7])
            assert (await viewer.next())["type"] == "x-fal-error"
            until, before = watched_until(protocol), until
            assert until > before


async def test_time_in_which_the_worker_does_not_read_is_not_the_senders() -> None:
    live = {"prompt": "a", "webcam_mode": True, "input": "all", "num_blocks": 8}
    picture = msgpack.packb({"image": colour((255, 0, 0)) + bytes(300_000)})
    async with serving() as worker, connected(worker.url, ping_interval=None) as viewer:
        (protocol,) = connections(worker)
        await viewer.say(**live, **SMALL)
        async with lane_held(worker.inside):
            sending = asyncio.create_task(send_pictures(viewer, picture, 40))
            async with asyncio.timeout(PATIENCE):
                while not (protocol.read_paused and protocol._half_timer):  # noqa: ASYNC110
                    await asyncio.sleep(0.005)
            until = watched_until(protocol)
            protocol._half_is_due()
            assert not protocol.close_sent and watched_until(protocol) > until
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
    async with (
        serving(auth="jwt", key="k" * 16) as worker,
        websocket(worker.url) as (reader, writer),
        asyncio.timeout(PATIENCE),
    ):
        await reader.readuntil(b"UNAUTHORIZED")
        with contextlib.suppress(ConnectionError):  # it reads on only while more comes
            for _ in range(15):
                writer.write(message)
                await writer.drain()
                assert held_by(worker) <= REPLY_BYTES
                message = message[-1_000_000:]


async def test_a_half_message_is_dropped_where_its_viewer_is_refused_meanwhile() -> None:
    """It sends a start frame while its time to send params runs out, and answers no close."""
    async with serving(ready_timeout=0.3) as worker, websocket(worker.url) as (reader, writer):
        (protocol,) = connections(worker)
        protocol.close_timeout = 1000.0  # so long a close would wait, and what is held with it
        writer.write(frame(BINARY, bytes(500_000), length=600_000))
        async with asyncio.timeout(PATIENCE):
            await reader.readuntil(b"TIMEOUT")
            while held_by(worker):  # noqa: ASYNC110 (the protocol tells nobody)
                await asyncio.sleep(0.005)
        assert worker.inside.metrics.half_message_bytes._value.get() == 0


async def test_many_parts_take_no_more_than_they_have_and_come_together() -> None:
    async with serving() as worker, websocket(worker.url) as (_, writer):
        alone = await streamed(worker.url, **STREAM)
        params = msgpack.packb(STREAM | SMALL)
        writer.write(frame(BINARY, params[:1], final=False))
        for _ in range(50):
            writer.write(frame(CONTINUATION, b"", final=False) * 1000)
            await writer.drain()
        await until_held(worker, 1)
        (protocol,) = connections(worker)
        assert len(protocol.frames) == 1
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
    async with serving() as worker, websocket(worker.url) as (_, writer):
        writer.transport.pause_reading()
        (protocol,) = connections(worker)
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
