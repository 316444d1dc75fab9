"""Who reads a session: one task at a time."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from support.servers.stand_in import Peer, Script, stand_in

from framewire.client import Frame, Session, StateError, connect
from framewire.protocol import Completed, Ready


async def collected(session: Session) -> list[Frame]:
    async with asyncio.timeout(60):
        return [frame async for frame in session]


@contextlib.asynccontextmanager
async def started(script: Script) -> AsyncIterator[Session]:
    async with stand_in(script) as server, connect(server.url) as session:
        await session.start("a fox", num_blocks=2)
        yield session


async def test_a_second_reader_is_refused_and_takes_nothing_from_the_first() -> None:
    """It would have some of the frames, and wait for ever for an end that the other one saw."""
    on = asyncio.Event()

    async def holds_back(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await on.wait()
        await peer.say_frames(18)
        await peer.say(Completed())
        await peer.until_closed()

    async with started(holds_back) as session:
        first = asyncio.create_task(collected(session))
        second = asyncio.create_task(collected(session))
        await asyncio.wait({second}, timeout=60)
        with pytest.raises(StateError, match="another task is reading"):
            second.result()
        on.set()
        assert [frame.index for frame in await first] == list(range(18))


async def test_reading_can_be_taken_over_from_a_task_that_was_cancelled() -> None:
    on = asyncio.Event()

    async def holds_back(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await on.wait()
        await peer.say_frames(6)
        await peer.say(Completed())
        await peer.until_closed()

    async with started(holds_back) as session:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await anext(session)
        on.set()
        assert len(await collected(session)) == 6
