"""Upgrades that no websocket follows: each is answered or closed, and leaves nothing behind."""

import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from support.servers.worker_server import Command, command
from support.viewers.hostile_upgrades import UPGRADES, answer
from support.viewers.raw_viewer import SMALL, connected

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[Command]:
    async with command() as running:
        yield running


@pytest.mark.parametrize("upgrade", UPGRADES.values(), ids=UPGRADES)
async def test_an_upgrade_that_the_parser_refuses_is_answered_and_closed(
    worker: Command, upgrade: tuple[str, str]
) -> None:
    said = await answer(worker.url, upgrade)
    status = said.split(b"\r\n")[0].split()
    assert status[0] == b"HTTP/1.1" and 400 <= int(status[1]) < 500, said
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="still here", num_blocks=1, **SMALL)
        assert len((await viewer.stream()).frames) == 6


async def test_a_worker_that_refused_upgrades_stops_cleanly() -> None:
    async with command() as running:
        for upgrade in UPGRADES.values():
            await answer(running.url, upgrade)
        running.signal(signal.SIGTERM)
        assert await running.exit_code() == 0
        assert "Traceback" not in "".join(running.log)
