"""The fal app without fal: in this process behind a stand-in for the gateway, or as `fal run`."""

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from socket import socket

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from framewire.worker.on_fal.app import KreaWan

ROOT = Path(__file__).resolve().parents[3]
PREFIX = "/fal-ai/krea-wan-14b"
PATIENCE = 60.0


class LocalKreaWan(KreaWan):  # type: ignore[no-untyped-call]
    """Clips come back as data URLs, by fal's own toolkit, instead of being uploaded."""

    uploads = "in_memory"


@dataclass(frozen=True)
class RunningApp:
    """The app, and where it is; `prefix` is what a gateway puts in front of its paths."""

    app: KreaWan
    netloc: str

    @property
    def http(self) -> str:
        return f"http://{self.netloc}{PREFIX}"

    @property
    def url(self) -> str:
        return f"ws://{self.netloc}{PREFIX}/ws"


@asynccontextmanager
async def fal_app() -> AsyncIterator[RunningApp]:
    """The app's own ASGI app on uvicorn, as fal's unit tests build it."""
    app = LocalKreaWan(_allow_init=True)
    asgi = app._build_app()

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        async with asgi.router.lifespan_context(asgi):
            yield

    gateway = Starlette(routes=[Mount(PREFIX, asgi)], lifespan=lifespan)
    config = uvicorn.Config(gateway, host="127.0.0.1", port=0, lifespan="on", log_config=None)
    server = uvicorn.Server(config)
    listening = asyncio.Event()
    startup = server.startup

    async def start(sockets: list[socket] | None = None) -> None:
        await startup(sockets)
        listening.set()

    server.startup = start  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    try:
        await asyncio.wait_for(listening.wait(), PATIENCE)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield RunningApp(app, f"127.0.0.1:{port}")
    finally:
        server.should_exit = True
        await asyncio.wait_for(task, PATIENCE)


@dataclass
class FalRun:
    """`fal run NAME --local` in a process of its own."""

    process: asyncio.subprocess.Process
    url: str
    log: list[str]

    async def exit_code(self) -> int:
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@asynccontextmanager
async def fal_run(home: Path, **env: str) -> AsyncIterator[FalRun]:
    """The command as a user types it, on free ports, without an account."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fal", "run", "krea-wan-14b", "--local"),
        *("--exposed-port", "0", "--exposed-metrics-port", "0"),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "FAL_HOME_DIR": str(home)} | env,
    )
    assert process.stdout is not None
    log: list[str] = []
    try:
        async with asyncio.timeout(PATIENCE):
            ports: list[str] = []
            while len(ports) < 2:
                line = (await process.stdout.readline()).decode()
                assert line, f"fal run ended: {''.join(log)}"
                log.append(line)
                ports += re.findall(r"running on http://0\.0\.0\.0:(\d+)", line)
        keeping = asyncio.create_task(_keep(process.stdout, log))
        yield FalRun(process, f"ws://127.0.0.1:{await _the_app(ports)}/ws", log)
        await keeping
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _keep(stream: asyncio.StreamReader, log: list[str]) -> None:
    while line := await stream.readline():
        log.append(line.decode())


async def _the_app(ports: list[str]) -> str:
    """Which port is the app's; the other is fal's metrics."""
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        for port in ports:
            if (await client.get(f"http://127.0.0.1:{port}/health")).status_code == 200:
                return port
    raise AssertionError(f"no app on {ports}")
