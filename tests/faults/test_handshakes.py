"""Upgrades that no websocket follows: each is answered or closed, and leaves nothing behind."""

import asyncio
import signal
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from support.servers.worker_server import Command, command
from support.viewers.raw_viewer import SMALL, connected

PATIENCE = 20.0
"""Seconds within which a handshake is answered or closed."""
HEAD = (
    "Host: 127.0.0.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)
UPGRADES = {
    "a URL of 9,000 bytes": ("GET /ws?" + "a" * 9000, ""),
    "a header line of 9,000 bytes": ("GET /ws", "X-Long: " + "a" * 9000 + "\r\n"),
    "200 headers": ("GET /ws", "".join(f"X-{n}: 1\r\n" for n in range(200))),
    "a body of one byte": ("GET /ws", "Content-Length: 1\r\n"),
    "a chunked body": ("GET /ws", "Transfer-Encoding: chunked\r\n"),
    "no key": ("GET /ws", "Sec-WebSocket-Key: \r\n"),
}

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[Command]:
    async with command() as running:
        yield running


async def answer(url: str, upgrade: tuple[str, str]) -> bytes:
    """All that a worker says to an upgrade before it closes."""
    at = urlsplit(url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    try:
        start, headers = upgrade
        writer.write(f"{start} HTTP/1.1\r\n{HEAD}{headers}\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            return await reader.read()
    finally:
        writer.close()


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
