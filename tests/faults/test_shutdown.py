"""A worker that is told to stop while peers misbehave: the others get whole blocks and a reason."""

import asyncio
import random
import time

from support.servers.watched_worker import watched
from support.viewers.bad_peers import (
    ENDLESS,
    GONE,
    floods_with_prompts,
    stalls,
    trickles_a_message,
    trickles_the_handshake,
    vanishes_in_mid_block,
)
from support.viewers.raw_viewer import Closed, connected

BAD = (
    stalls,
    vanishes_in_mid_block,
    floods_with_prompts,
    trickles_a_message,
    trickles_the_handshake,
)
GRACE = 5.0


async def test_sigterm_in_mid_stream_ends_good_viewers_well_however_bad_the_others_are() -> None:
    async with watched("--max-sessions", "16", "--grace", str(GRACE)) as worker:
        dice = random.Random(1)
        bad = [asyncio.create_task(peer(worker.url, dice)) for peer in BAD]

        async def good(started: asyncio.Barrier) -> None:
            async with connected(worker.url) as viewer:
                await viewer.say(**(ENDLESS | {"prompt": "good", "fps": 200}))
                await viewer.frame()
                await started.wait()
                received = await viewer.end()
                assert (1 + len(received.frames)) % 12 == 6, "whole blocks only"
                assert [text["error"] for text in received.texts] == ["AT_CAPACITY"]
                assert isinstance(received.last, Closed) and received.last.code == 1012

        started = asyncio.Barrier(5)
        viewers = [asyncio.create_task(good(started)) for _ in range(4)]
        await started.wait()
        began = time.monotonic()
        worker.worker.signal()
        await asyncio.gather(*viewers)
        assert await worker.worker.exit_code() == 0
        # A grace for the sessions, and uvicorn's own seconds for what is no session.
        assert time.monotonic() - began < 3 * (GRACE + 6)
        for error in await asyncio.gather(*bad, return_exceptions=True):
            assert error is None or isinstance(error, GONE)
