"""Callers without a token cannot fill the disk with the worker's log."""

import asyncio
import logging
from urllib.parse import urlsplit

import pytest
from support.servers.worker_server import PATIENCE, command
from support.viewers.raw_viewer import streamed

from framewire.worker.server.logs import few_lines
from framewire.worker.server.logs.few_lines import LINES, FewLines

STATEMENTS = 2


def line(number: int, level: int = logging.WARNING, at: int = 1) -> logging.LogRecord:
    return logging.LogRecord("x", level, __file__, at, "line %d", (number,), None)


def test_of_one_statement_so_many_lines_a_minute_pass_and_the_rest_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = 100.0
    monkeypatch.setattr(few_lines.time, "monotonic", lambda: now)
    few = FewLines()
    assert sum(few.filter(line(n)) for n in range(LINES + 50)) == LINES
    assert few.filter(line(0, at=2)), "another statement has a count of its own"
    assert all(few.filter(line(n, logging.DEBUG, at=3)) for n in range(2 * LINES))
    now += 61
    later = line(7)
    assert few.filter(later)
    assert later.getMessage() == "line 7 (50 lines like this were left out)"
    again = line(8)
    assert few.filter(again) and again.getMessage() == "line 8"


async def test_a_flood_of_bad_requests_writes_no_line_for_each() -> None:
    async with command() as worker:
        at = urlsplit(worker.url)
        for _ in range(STATEMENTS * LINES):
            reader, writer = await asyncio.open_connection(at.hostname, at.port)
            writer.write(b"\x16\x03\x01 no HTTP\r\n\r\n")
            assert b"400" in await asyncio.wait_for(reader.read(), PATIENCE)
            writer.close()
        assert len(await streamed(worker.url, prompt="a", num_blocks=1)) == 6
        worker.signal()
        assert await worker.exit_code() == 0
    assert LINES <= len([each for each in worker.log if "Invalid HTTP" in each]) <= LINES
