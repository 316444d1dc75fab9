"""What callers put into paths and queries stays in its line of the worker's log."""

import contextlib
import io
import logging
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.servers.watched_worker import __file__ as troubled
from support.servers.worker_server import command
from support.viewers.raw_viewer import SMALL, opened, streamed
from websockets.exceptions import ConnectionClosed

from framewire.worker.server.logs.plain_lines import PlainLines

FORGED = "%0d%0a2026-01-01%20INFO%20x:%20well%1b[2J%c2%9b1m%e2%80%ae%e2%80%a8"


@pytest.mark.parametrize("level", ["info", "debug"])
async def test_no_caller_adds_a_line_to_the_log_or_steers_a_terminal_that_shows_it(
    level: str,
) -> None:
    """A session's name is in the path of Krea's own server, and the path in many lines."""
    async with command("--log-level", level, program=Path(troubled)) as worker:
        alone = await streamed(worker.url, prompt="a", num_blocks=1, seed=1)
        base = worker.url.removesuffix("/ws")
        for path in (f"/session/a{FORGED}", f"/none/{FORGED}", f"/ws?events={FORGED}"):
            async with opened(base + path) as viewer:
                with contextlib.suppress(ConnectionClosed):  # where no stream is, before this
                    await viewer.say(prompt="raise", num_blocks=3, **SMALL)
                await viewer.end()
        assert await streamed(worker.url, prompt="a", num_blocks=1, seed=1) == alone
        worker.signal()
        assert await worker.exit_code() == 0
    assert any(
        r"session a\r\n2026-01-01 INFO x: well\u001b[2J\u009b1m\u202e" in line
        for line in worker.log
    )
    for line in worker.log:
        assert line.rstrip("\n").isprintable(), line
        assert not line.startswith("2026-01-01")


@pytest.fixture
def log() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def logger(log: io.StringIO) -> Iterator[logging.Logger]:
    """With two handlers, as under fal, where uvicorn's logger has a filter of its own as well."""
    found = logging.getLogger("test_forged_lines")
    for stream in (io.StringIO(), log):
        handler = logging.StreamHandler(stream)
        handler.addFilter(PlainLines())
        found.addHandler(handler)
    found.propagate = False
    found.setLevel(logging.INFO)
    yield found
    found.handlers.clear()


def test_a_traceback_has_its_lines_set_in_and_those_of_its_error_are_no_others(
    logger: logging.Logger, log: io.StringIO
) -> None:
    try:
        raise ValueError("\nINFO all is well\x1b[2J")
    except ValueError:
        logger.exception("it %s", "failed\n")
    first, *rest = log.getvalue().splitlines()
    assert first == r"it failed\n"
    assert rest[0] == "  Traceback (most recent call last):"
    assert rest[1].startswith("    File ")
    assert rest[-1] == r"  INFO all is well\u001b[2J"


def test_a_failed_start_stays_readable(logger: logging.Logger, log: io.StringIO) -> None:
    """uvicorn logs its traceback as the message."""
    logger.error("Traceback (most recent call last):\n  File x\nOSError: no\n")
    assert log.getvalue().splitlines()[:3] == [
        "  Traceback (most recent call last):",
        "    File x",
        "  OSError: no",
    ]


def test_a_caller_cannot_begin_a_line_as_a_traceback_does(
    logger: logging.Logger, log: io.StringIO
) -> None:
    logger.info("%s", "Traceback (most recent call last):\nINFO all is well")
    assert len(log.getvalue().splitlines()) == 1
