"""Frames in envelopes that come damaged: a lost connection, mended where that was asked for."""

import asyncio

import pytest
from support.servers.stand_in import Peer, picture, stand_in

from framewire.client import ConnectionLost, Reconnect, connect
from framewire.protocol import BlockDone, Completed, Connection, Frame, Ready, Role, State

TOTAL = 18


def damaging(index: int, how: str):  # type: ignore[no-untyped-def]
    """A server whose first connection spoils one frame, and whose later ones are whole."""
    connections = 0

    async def script(peer: Peer) -> None:
        nonlocal connections
        connections += 1
        await peer.say(Ready())
        params = await peer.hear()
        peer.wire.envelope = True
        total = 6 + 12 * (params.num_blocks - 1)
        for number in range(total):
            data = peer.wire.send(Frame(jpeg=picture(number), index=number, block=0))
            if connections > 1 or number != index:
                await peer.socket.send(data)
            elif how == "damaged":
                await peer.socket.send(data[: len(data) // 2])
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    return script


@pytest.mark.parametrize(
    ("index", "how"), [(0, "damaged"), (7, "missing"), (7, "damaged"), (TOTAL - 1, "damaged")]
)
async def test_a_frame_that_is_missing_or_damaged_is_a_lost_connection(
    index: int, how: str
) -> None:
    async with stand_in(damaging(index, how)) as server, connect(server.url) as session:
        await session.start("a fox", num_blocks=2, fmt="msgpack")
        with pytest.raises(ConnectionLost):
            async with asyncio.timeout(20):
                async for _ in session:
                    pass


async def test_reconnecting_mends_it_so_that_every_frame_comes() -> None:
    policy = Reconnect(first_delay=0.01)
    script = damaging(7, "damaged")
    async with stand_in(script) as server, connect(server.url, reconnect=policy) as session:
        await session.start("a fox", num_blocks=2, fmt="msgpack")
        async with asyncio.timeout(20):
            frames = [frame async for frame in session]
    assert [frame.index for frame in frames] == list(range(TOTAL))


def envelope(number: int) -> bytes:
    wire = Connection(Role.WORKER, envelope=True)
    wire.state = State.STREAMING
    return bytes(wire.send(Frame(jpeg=picture(number), index=number, block=0)))


def outside_the_picture() -> list[int]:
    data, image = envelope(0), picture(0)
    start = data.index(image)
    return [at for at in range(len(data)) if not start <= at < start + len(image)]


@pytest.mark.parametrize("bit", [0, 2, 5, 7])
@pytest.mark.parametrize("number", [0, 2], ids=["first", "last"])
async def test_no_flipped_bit_outside_a_picture_loses_a_frame_in_silence(
    number: int, bit: int
) -> None:
    """Each byte in turn, as a link without TLS may deliver it: a lost connection, or every frame."""
    flips = iter(outside_the_picture())

    async def flipping(peer: Peer) -> None:
        at = next(flips)
        await peer.say(Ready())
        await peer.hear()
        for index in range(3):
            data = bytearray(envelope(index))
            if index == number:
                data[at] ^= 1 << bit
            await peer.socket.send(bytes(data))
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    lost = 0
    async with stand_in(flipping) as server:
        for _ in outside_the_picture():
            async with connect(server.url) as session:
                await session.start("a fox", num_blocks=1, fmt="msgpack")
                try:
                    async with asyncio.timeout(20):
                        assert [frame.index async for frame in session] == [0, 1, 2]
                except ConnectionLost:
                    lost += 1
    assert lost, "damage was seen"


async def test_a_last_frame_that_did_not_come_is_missed_where_blocks_are_told() -> None:
    async def short(peer: Peer) -> None:
        peer.wire.envelope = True
        await peer.say(Ready())
        await peer.hear()
        for index in range(5):
            await peer.say(Frame(jpeg=picture(index), index=index, block=0))
        await peer.say(BlockDone(block=0, index=0, frames=6, prompt_version=1))
        await peer.say(Completed(session_id="s"))
        await peer.until_closed()

    async with stand_in(short) as server, connect(server.url) as session:
        await session.start("a fox", num_blocks=1, fmt="msgpack", events=True)
        with pytest.raises(ConnectionLost, match="frame 5 did not come"):
            async with asyncio.timeout(20):
                async for _ in session:
                    pass
