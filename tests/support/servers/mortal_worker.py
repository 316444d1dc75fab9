"""A worker that is killed again and again and started anew on its port, and what each life held."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from support.servers.ports import free_port
from support.servers.worker_server import Command

RSS_SLACK = 96_000_000
"""Bytes by which memory may differ under attack: three messages of 16 MiB on their way, and as much
again that was freed but not given back. What is held at rest has a closer bound."""
SLACK = 8
"""Descriptors and threads that come and go with callers and lazily started pools."""


@dataclass(frozen=True)
class Held:
    """What a process holds: bytes of memory, file descriptors, threads."""

    rss: int
    fds: int
    threads: int

    def __str__(self) -> str:
        return f"{self.rss / 1e6:.0f} MB, {self.fds} fds, {self.threads} threads"


def held(pid: int | None = None) -> Held:
    """What a process, by default this one, holds now."""
    proc = Path("/proc") / str(os.getpid() if pid is None else pid)
    status = dict(row.split(":", 1) for row in (proc / "status").read_text().splitlines())
    return Held(
        rss=int(status["VmRSS"].split()[0]) * 1024,
        fds=len(list((proc / "fd").iterdir())),
        threads=int(status["Threads"]),
    )


def middle(looks: list[Held]) -> Held:
    """Medians: one caller more or less, at the moment of a look, does not count."""
    return Held(*(int(median(getattr(look, key) for look in looks)) for key in vars(looks[0])))


def assert_flat(looks: list[Held]) -> tuple[Held, Held]:
    """Nothing grew from the second to the last quarter; the first is for what is taken once.

    Returns:
        The medians of the two.
    """
    quarter = max(1, len(looks) // 4)
    early, late = middle(looks[quarter : 2 * quarter]), middle(looks[-quarter:])
    assert late.rss <= early.rss + RSS_SLACK, f"memory grew: {early} -> {late}"
    assert late.fds <= early.fds + SLACK, f"descriptors grew: {early} -> {late}"
    assert late.threads <= early.threads + SLACK, f"threads grew: {early} -> {late}"
    return early, late


@dataclass
class MortalWorker:
    """Call `live`, wait for `up`; `url` stays the same.

    Attributes:
        start: the worker on a given port.
        at_rest: looks at the last life when all its callers have left.
        lives: early and late medians of what each life held.
        up: set while it listens.
    """

    start: Callable[[int], AbstractAsyncContextManager[Command]]
    at_rest: Callable[[Command], Awaitable[object]]
    port: int = field(default_factory=free_port)
    lives: list[tuple[Held, Held]] = field(default_factory=list)
    up: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}/ws"

    async def live(self, seconds: float, over: asyncio.Event) -> None:
        """Lives of so many seconds each, until `over` is set."""
        while not over.is_set():
            async with self.start(self.port) as worker:
                looks = await self._life(worker, seconds, over)
                if len(looks) >= 4:
                    self.lives.append(assert_flat(looks))
                if over.is_set():
                    await self.at_rest(worker)
                worker.signal(signal.SIGKILL)
                await worker.exit_code()

    async def _life(self, worker: Command, seconds: float, over: asyncio.Event) -> list[Held]:
        looks = []
        now = asyncio.get_running_loop().time
        death = now() + seconds
        self.up.set()
        while now() < death and not over.is_set():
            assert worker.process.returncode is None, "".join(worker.log)
            looks.append(held(worker.process.pid))
            await asyncio.sleep(0.5)
        self.up.clear()
        return looks
