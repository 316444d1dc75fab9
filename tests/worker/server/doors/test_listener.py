"""What goes wrong with one connection is no matter to the next ones."""

import asyncio
from typing import Any

import pytest
from support.servers.worker_server import PATIENCE, serving
from support.viewers.raw_viewer import connected

from framewire.worker.server.doors.callers import Callers, Visit


async def test_a_fault_with_one_caller_leaves_the_door_open(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    arrive, faults = Callers.arrive, iter([True])

    def at_fault_once(self: Callers, *address: Any) -> Visit:
        if next(faults, False):
            raise IndexError("an address of another kind")
        return arrive(self, *address)

    monkeypatch.setattr(Callers, "arrive", at_fault_once)
    async with serving() as worker, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", worker.port)
        assert await reader.read() == b""
        writer.close()
        async with connected(worker.url):
            pass
    assert "a connection was dropped" in caplog.text
