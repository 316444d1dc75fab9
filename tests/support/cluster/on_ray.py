"""A Ray cluster in a process of its own, with the worker on it."""

import asyncio
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from support.servers.ports import free_port

from .behind_haproxy import KEY, SECRET

PATIENCE = 200.0
TESTCARD = {
    "FRAMEWIRE_BACKEND": "testcard",
    "FRAMEWIRE_AUTH": "jwt",
    "FRAMEWIRE_SECRET": SECRET,
    "FRAMEWIRE_KEY": KEY,
    "FRAMEWIRE_MAX_SESSIONS": "4",
    "FRAMEWIRE_QUEUE": "0",
    "FRAMEWIRE_GRACE": "40",
}


@dataclass(frozen=True)
class Running:
    """A replica that serves."""

    id: str
    pid: int


class RayCluster:
    def __init__(self, process: asyncio.subprocess.Process, port: int) -> None:
        self._process = process
        self._asks = asyncio.Lock()
        self.port = port

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    @property
    def http(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def run(self, least: int, most: int, **settings: str) -> None:
        """Deploy the app, or change it; returns when Serve says that it runs."""
        own = TESTCARD | settings
        places = int(own["FRAMEWIRE_MAX_SESSIONS"])
        scale = {
            "min_replicas": least,
            "max_replicas": most,
            "target_ongoing_requests": 0.8 * places,
            "upscale_delay_s": 1,
        }
        await self._ask({"settings": own, "deployment": {"autoscaling_config": scale}})

    async def running(self) -> list[Running]:
        found = await self._ask({})
        return [
            Running(one["replica_id"], int(one["pid"]))
            for one in found
            if one["state"] == "RUNNING"
        ]

    async def replicas(self, count: int) -> list[Running]:
        """Wait until exactly so many run, and none is on its way in or out."""

        async def settled() -> bool:
            found = await self._ask({})
            return [one["state"] for one in found] == ["RUNNING"] * count

        await until(settled)
        return await self.running()

    async def sessions(self) -> int:
        """Of whichever replica Serve asks."""
        async with httpx.AsyncClient(trust_env=False, timeout=60) as http:
            return int((await http.get(f"{self.http}/health")).json()["sessions"])

    async def _ask(self, asked: dict[str, Any]) -> list[dict[str, str]]:
        stdin, stdout = self._process.stdin, self._process.stdout
        assert stdin is not None and stdout is not None
        async with self._asks, asyncio.timeout(PATIENCE):
            stdin.write(json.dumps(asked).encode() + b"\n")
            await stdin.drain()
            said = await stdout.readline()
        assert said, "the cluster has ended"
        found: list[dict[str, str]] = json.loads(said)
        return found


async def until(condition: Callable[[], Awaitable[bool]], seconds: float = PATIENCE) -> None:
    """Wait for what other processes do; there is nothing else to be told by."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110
            await asyncio.sleep(0.1)


@asynccontextmanager
async def ray_cluster(log: Path) -> AsyncIterator[RayCluster]:
    """A cluster on which nothing runs yet; `log` is what it says."""
    port = free_port()
    program = Path(__file__).with_name("ray_program.py")
    # Sockets lie in this folder, and their paths may be 107 characters long.
    with tempfile.TemporaryDirectory(prefix="ray", dir="/tmp") as folder, log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, str(program), folder, str(port)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=said,
            env=clean_environment(),
        )
        try:
            yield RayCluster(process, port)
        finally:
            assert process.stdin is not None
            process.stdin.close()
            try:
                await asyncio.wait_for(process.wait(), 60)
            except TimeoutError:
                process.kill()
                await process.wait()


def clean_environment() -> dict[str, str]:
    """Without settings of ours, and with Ray's that keep it to itself and patient: by itself it kills a
    proxy that has not started within 5 s, as on a busy machine none has."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FRAMEWIRE_")}
    return kept | {
        "PYTHONPATH": ":".join(filter(None, sys.path)),
        "RAY_USAGE_STATS_ENABLED": "0",
        "RAY_COLOR_PREFIX": "0",
        "RAY_SERVE_PROXY_READY_CHECK_TIMEOUT_S": "50",
        "RAY_SERVE_PROXY_HEALTH_CHECK_TIMEOUT_S": "50",
    }
