"""A worker of one's own: a subprocess on a free loopback port, stopped when no longer needed.

It holds on to a pipe from this process, so that it ends even where nobody is left to stop it.

Knows the worker's command line and its first line of output, never its code: nothing of the
worker is imported here.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass

from .errors import WorkerStartError

START_TIMEOUT = 120.0
STOP_TIMEOUT = 10.0
WORKER_EXTRA = "pip install 'framewire[worker]'"
_TAIL_LINES = 30

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LocalWorker:
    """A running worker.

    Attributes:
        url: its WebSocket URL.
        pid: its process.
    """

    url: str
    pid: int


@contextlib.asynccontextmanager
async def local_worker(
    args: Sequence[str] = (),
    *,
    backend: str | None = None,
    env: Mapping[str, str] | None = None,
    start_timeout: float = START_TIMEOUT,
) -> AsyncIterator[LocalWorker]:
    """Run `framewire-worker serve` for as long as the block lasts.

    Args:
        args: more options of `serve`.
        backend: its backend; None leaves it to `FRAMEWIRE_BACKEND` or to the worker.
        env: variables on top of this process's, for what must not show in a process list.
        start_timeout: seconds until it must listen, loading included.

    Raises:
        WorkerStartError: it did not come up; with the last lines that it wrote.
    """
    command = [sys.executable, "-m", "framewire.worker.cli", "serve", "--json"]
    # Said outright, so that FRAMEWIRE_ variables meant for another worker do not reach this one.
    command += ["--host", "127.0.0.1", "--port", "0", "--auth", "none"]
    command += ["--until-stdin-ends"]  # its other end is held here: the worker ends with us
    command += [] if backend is None else ["--backend", backend]
    command += args
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, **(env or {})},
        # Ctrl-C is ours: files are finished first, then the worker is told to stop.
        start_new_session=True,
    )
    tail: deque[str] = deque(maxlen=_TAIL_LINES)
    reading = [asyncio.create_task(_keep_tail(process.stderr, tail))]
    try:
        url = await _await_url(process, tail, reading[0], start_timeout)
        reading.append(asyncio.create_task(_keep_tail(process.stdout, deque(maxlen=0))))
        yield LocalWorker(url, process.pid)
    finally:
        await _stop(process, reading)


@contextlib.asynccontextmanager
async def endpoint(url: str | None = None) -> AsyncIterator[str]:
    """The given URL, or that of a worker which runs for as long as the block lasts."""
    if url is not None:
        yield url
        return
    async with local_worker() as worker:
        yield worker.url


async def _await_url(
    process: asyncio.subprocess.Process,
    tail: deque[str],
    reading: asyncio.Task[None],
    limit: float,
) -> str:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(limit):
            line = await process.stdout.readline()
            if not line:
                await process.wait()
                await reading
    except TimeoutError:
        raise WorkerStartError(
            f"the worker was not ready within {limit:g} s{_quoted(tail)}"
        ) from None
    if not line:
        missing = any("No module named" in text for text in tail)
        raise WorkerStartError(
            f"the worker ended with {process.returncode} before it was ready{_quoted(tail)}",
            hint=WORKER_EXTRA if missing else "",
        )
    try:
        return str(json.loads(line)["url"])
    except (ValueError, KeyError, TypeError):
        text = line.decode("utf-8", "replace").strip()
        raise WorkerStartError(f"the worker began with {text!r}, not with its address") from None


async def _keep_tail(stream: asyncio.StreamReader | None, tail: deque[str]) -> None:
    assert stream is not None
    while chunk := await stream.read(4096):
        for line in chunk.decode("utf-8", "replace").splitlines():
            tail.append(line)
            logger.debug("worker: %s", line)


async def _stop(process: asyncio.subprocess.Process, reading: list[asyncio.Task[None]]) -> None:
    """End it, by force if it must be, and reap it, even while being cancelled."""
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        async with asyncio.timeout(STOP_TIMEOUT):
            await process.wait()
    except TimeoutError:
        logger.warning("the worker did not stop within %g s and was killed", STOP_TIMEOUT)
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


def _quoted(tail: deque[str]) -> str:
    return ":\n  " + "\n  ".join(tail) if tail else ""
