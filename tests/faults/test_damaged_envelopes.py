"""Frames in envelopes that come damaged: a lost connection, mended where that was asked for."""

import asyncio

import pytest
from support.servers.stand_in import Peer, picture, stand_in

from framewire.client import ConnectionLost, Reconnect, connect
from framewire.protocol import Completed, Frame, Ready

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
