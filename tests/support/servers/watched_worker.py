"""A worker whose resources can be looked at, with a backend that fails where a prompt says so.

As a program: the worker's command; SIGUSR1 makes it print how many tasks it has. As a module:
`watched` runs it, `Watched.usage` asks what it holds. Prompts with "raise", "shape" or "slow" in
them make their second block raise, come in another size, or take a while.
"""

import asyncio
import ctypes
import gc
import json
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

import httpx
import numpy as np
from support.servers.worker_server import PATIENCE, Command, command

from framewire.worker import backends
from framewire.worker.backends.base import Backend, Block, Picture, Settings
from framewire.worker.backends.testcard import TestcardBackend, TestcardSession
from framewire.worker.cli import main
from framewire.worker.server.on_uvicorn import http as uvicorn_http

HEAD_SECONDS, BODY_SECONDS = 2.0, 1.0
OPTIONS = ("--stall-timeout", "1", "--ready-timeout", "3", "--idle-timeout", "3", "--grace", "5")
RSS_SLACK = 48_000_000
"""Bytes by which resident memory may differ after a bench, freed memory given back: caches that
have a size (painted scenes, threads' stacks) and holes between what is held."""


class TroubledSession(TestcardSession):
    """Fails in its second block, if the prompt says so."""

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._prompt, self._blocks = settings.prompt, 0

    def next_block(self, pictures: Sequence[Picture]) -> Callable[[], Block]:
        self._blocks += 1
        finish = super().next_block(pictures)
        if self._blocks != 2:
            return finish
        if "raise" in self._prompt:
            raise ArithmeticError("the prompt asked for it")
        if "slow" in self._prompt:
            time.sleep(0.2)
        if "shape" in self._prompt:
            return lambda: Block(np.zeros((12, 8, 8, 3), np.uint8))
        return finish


class TroubledBackend(TestcardBackend):
    name = "troubled"

    def open(self, settings: Settings) -> TroubledSession:
        return TroubledSession(settings)


@dataclass(frozen=True)
class Usage:
    """What a process holds: file descriptors, asyncio tasks, connections, places, bytes."""

    fds: int
    tasks: int
    connections: int
    sessions: int
    rss: int

    def is_back_at(self, before: "Usage") -> bool:
        """Nothing more is held than before; of memory, hardly more."""
        return (
            self.fds <= before.fds
            and self.tasks <= before.tasks
            and self.connections <= before.connections
            and self.sessions <= before.sessions
            and self.rss <= before.rss + RSS_SLACK
        )


@dataclass
class Watched:
    """A running worker."""

    worker: Command

    @property
    def url(self) -> str:
        return self.worker.url

    async def usage(self) -> Usage:
        """What it holds now."""
        health = await self.health()
        self.worker.signal(signal.SIGUSR1)
        assert self.worker.process.stdout is not None
        line = await asyncio.wait_for(self.worker.process.stdout.readline(), PATIENCE)
        proc = Path("/proc") / str(self.worker.process.pid)
        rss = next(
            int(row.split()[1]) * 1024
            for row in (proc / "status").read_text().splitlines()
            if row.startswith("VmRSS")
        )
        return Usage(
            fds=len(list((proc / "fd").iterdir())),
            tasks=json.loads(line)["tasks"],
            connections=health["connections"],
            sessions=health["sessions"],
            rss=rss,
        )

    async def idle(self) -> Usage:
        """What it holds when nobody is there: the least of a few looks, for looking takes a task."""
        looks = [await self.usage() for _ in range(5)]
        least = {key: min(getattr(look, key) for look in looks) for key in vars(looks[0])}
        assert not least["connections"], "somebody is there"
        return Usage(**least)

    async def health(self) -> dict[str, Any]:
        headers = {"Connection": "close"}
        async with httpx.AsyncClient(trust_env=False, timeout=PATIENCE) as client:
            answer = await client.get(f"{self.worker.http}/health", headers=headers)
        found: dict[str, Any] = answer.json()
        return found

    async def back_at(self, before: Usage, seconds: float = PATIENCE) -> Usage:
        """What it holds once that is what it held before; time-outs must have passed for that.

        Raises:
            AssertionError: it holds on to something.
        """
        deadline = asyncio.get_running_loop().time() + seconds
        while not (now := await self.usage()).is_back_at(before):
            left = deadline - asyncio.get_running_loop().time()
            assert left > 0, f"after {seconds:g} s {now}, before {before}"
            await asyncio.sleep(min(left, 0.05))
        return now


@asynccontextmanager
async def watched(*options: str) -> AsyncIterator[Watched]:
    """A worker with short time-outs, in a process of its own."""
    program = Path(__file__)
    # Few arenas, so that what is measured is what is held, and not the holes between it.
    async with command(*OPTIONS, *options, program=program, MALLOC_ARENA_MAX="2") as worker:
        yield Watched(worker)


def _tell_tasks(number: int, frame: FrameType | None) -> None:
    gc.collect()
    with suppress(OSError, AttributeError):  # glibc keeps freed memory unless it is asked not to
        ctypes.CDLL(None).malloc_trim(0)
    print(json.dumps({"tasks": len(asyncio.all_tasks())}), flush=True)


def _choose(name: str, *_: object, **__: object) -> tuple[Backend, str]:
    return TroubledBackend(), "the test asked for it"


if __name__ == "__main__":
    signal.signal(signal.SIGUSR1, _tell_tasks)
    backends.choose = _choose
    uvicorn_http.HEAD_SECONDS = HEAD_SECONDS
    uvicorn_http.BODY_SECONDS = BODY_SECONDS
    sys.exit(main())
