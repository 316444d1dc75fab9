"""Workers that go away in mid stream, and sessions on them that come back."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from support.servers.stand_in import Peer, Script, stand_in, streams

from framewire.client import Event, Frame, Reconnect, Session, connect
from framewire.protocol import Params, Ready, Steer

QUICK = Reconnect(attempts=4, first_delay=0.001, max_delay=0.002, give_up_after=60)


def error_text(code: str) -> str:
    return f'{{"type":"x-fal-error","error":"{code}","reason":"for the test"}}'


def in_turn(*scripts: Script) -> Script:
    """The n-th connection gets the n-th script, and the last one all that come after."""
    waiting = list(scripts)

    async def script(peer: Peer) -> None:
        await (waiting.pop(0) if len(waiting) > 1 else waiting[0])(peer)

    return script


def breaks_after(frames: int, heard: list[Params | Steer] | None = None) -> Script:
    """Ready, params, some frames, then gone without a close."""

    async def script(peer: Peer) -> None:
        await peer.say(Ready())
        params = await peer.hear()
        if heard is not None:
            heard.append(params)
        await peer.say_frames(frames)
        await peer.until_sent()
        peer.socket.transport.abort()

    return script


def keeps(heard: list[Params | Steer], then: Script = streams) -> Script:
    """As `then`, all that is said to it kept."""

    async def script(peer: Peer) -> None:
        hear = peer.hear

        async def kept() -> Any:
            heard.append(await hear())
            return heard[-1]

        peer.hear = kept  # type: ignore[method-assign]
        await then(peer)

    return script


@contextlib.asynccontextmanager
async def session_on(
    *scripts: Script, told: list[Event] | None = None, **options: Any
) -> AsyncIterator[Session]:
    options = {"reconnect": QUICK} | options
    async with (
        asyncio.timeout(60),
        stand_in(in_turn(*scripts)) as server,
        connect(server.url, on_event=None if told is None else told.append, **options) as session,
    ):
        yield session


async def rest(session: Session) -> list[Frame]:
    return [frame async for frame in session]
