"""A worker to test against: in this process, or as the command in one of its own."""

import asyncio
import atexit
import json
import shutil
import signal
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from fastapi import FastAPI
from support.engines.scripted_backend import Gate

from framewire.worker.backends.base import Backend
from framewire.worker.backends.testcard import TestcardBackend
from framewire.worker.config import Config
from framewire.worker.runtime.worker import Worker
from framewire.worker.server.app import create_app
from framewire.worker.server.on_uvicorn.server import Server

PATIENCE = 60.0
"""Seconds for what takes one or two on an idle machine."""
SLOW_WORKER = Path(__file__).with_name("slow_worker.py")


@dataclass(frozen=True)
class Running:
    """A worker that listens on a free port of loopback."""

    port: int
    inside: Worker
    server: Server

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def bytes_heard(self) -> float:
        """Of viewers' messages so far."""
        (counted,) = self.inside.metrics.bytes_received.collect()
        return counted.samples[0].value


class _QuickServer(Server):
    """Looks every few milliseconds, not every tenth of a second, whether it is to exit."""

    async def main_loop(self) -> None:
        while not await self.on_tick(0):  # noqa: ASYNC110 (so does uvicorn)
            await asyncio.sleep(0.005)


@asynccontextmanager
async def listening(settings: Config, app: FastAPI) -> AsyncIterator[tuple[int, Server]]:
    """An app on a real server in this event loop; the port, and the server."""
    told: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    server = _QuickServer(settings, app, told.set_result)
    task = asyncio.create_task(server.serve())
    waited: set[asyncio.Future[Any]] = {task, told}
    await asyncio.wait(waited, timeout=PATIENCE, return_when=asyncio.FIRST_COMPLETED)
    try:
        yield await asyncio.wait_for(told, PATIENCE), server
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, PATIENCE)


@asynccontextmanager
async def serving(backend: Backend | None = None, **config: Any) -> AsyncIterator[Running]:
    """The real app on a real server in this event loop, with settings of the test's choice."""
    settings = Config(**({"port": 0, "grace": 5.0} | config))
    app = create_app(settings, backend or TestcardBackend())
    async with listening(settings, app) as (port, server):
        yield Running(port, app.state.worker, server)


@asynccontextmanager
async def lane_held(worker: Worker) -> AsyncIterator[None]:
    """No backend call runs inside: what is sent meanwhile comes before the next block."""
    gate = Gate()
    holding = asyncio.create_task(worker.lane.run(gate))
    await asyncio.wait_for(asyncio.to_thread(gate.entered.wait), PATIENCE)
    try:
        yield
    finally:
        gate.open()
        await holding


@dataclass
class Command:
    """`framewire-worker serve` in a process of its own; `log` is what it wrote to stderr."""

    process: asyncio.subprocess.Process
    said: dict[str, Any]
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.said["url"])

    @property
    def http(self) -> str:
        return f"http://{urlsplit(self.url).netloc}"

    def signal(self, number: signal.Signals = signal.SIGTERM) -> None:
        self.process.send_signal(number)

    async def exit_code(self) -> int:
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@cache
def home() -> str:
    """The home of this run's commands, so that they keep nothing in that of who runs the tests."""
    folder = tempfile.mkdtemp(prefix="framewire-home-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder


async def launched(
    *options: str, slow: bool = False, program: Path | None = None, **env: str
) -> asyncio.subprocess.Process:
    """The real command, started; `slow`: with blocks of a second (see `slow_worker.py`).

    Args:
        program: run instead, with the command's own arguments.
    """
    program = SLOW_WORKER if slow else program
    runs = [str(program)] if program else ["-m", "framewire.worker.cli"]
    return await asyncio.create_subprocess_exec(
        *(
            sys.executable,
            *runs,
            "serve",
            "--json",
            "--port",
            "0",
            "--backend",
            "testcard",
            *options,
        ),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path)), "HOME": home()} | env,
    )


@asynccontextmanager
async def command(
    *options: str, slow: bool = False, program: Path | None = None, **env: str
) -> AsyncIterator[Command]:
    """The real command, listening on a free port."""
    process = await launched(*options, slow=slow, program=program, **env)
    assert process.stdout is not None and process.stderr is not None
    log: list[str] = []

    async def keep(stream: asyncio.StreamReader) -> None:
        while line := await stream.readline():
            log.append(line.decode())

    keeping = asyncio.create_task(keep(process.stderr))
    try:
        line = await process.stdout.readline()  # loading takes as long as it takes
        assert line, f"the worker did not start: {''.join(log)}"
        yield Command(process, json.loads(line), log)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        await keeping
