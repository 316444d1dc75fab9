"""The jobs that are known: the table on a thread of its own, the bodies, and how many wait.

Who waits for news of them is told here. Knows no order of things and runs nothing.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from framewire.worker.runtime.metrics import Metrics
from framewire.worker.runtime.to_the_end import to_the_end
from framewire.worker.server.clips.kept import KeptClip

from .bodies import JobBodies
from .job import Failure, Job, Line, State
from .table import JobTable

T = TypeVar("T")


class JobStore:
    """Made and used on one event loop; `open` it first.

    Args:
        folder: nobody else's.
        life: seconds that an ended job is remembered.
        most_bytes: of all bodies that wait.

    Attributes:
        waiting: jobs that have not ended, by what their callers are counted as.
        running: how many of them run.
    """

    def __init__(self, folder: Path, life: float, most_bytes: int, metrics: Metrics) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._path = folder / "jobs.sqlite"
        self.bodies = JobBodies(folder / "bodies", most_bytes)
        self.waiting: Counter[str | None] = Counter()
        self._life = life
        self._metrics = metrics
        self.running = 0
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="framewire-jobs")
        self._news = asyncio.Event()

    async def open(self) -> list[Job]:
        """Read what an earlier process has left; returns its jobs that have not ended."""
        self._table = await self._on_thread(lambda: JobTable(self._path))
        await self._on_thread(lambda: self._table.forget(time.time() - self._life))
        unfinished = await self._on_thread(self._table.unfinished)
        self.bodies.adopt({job.id for job in unfinished})
        self.waiting.update(job.caller for job in unfinished)
        return unfinished

    async def close(self) -> None:
        """Leave it to the next process."""
        await self.on_table(lambda table: table.close())
        self._thread.shutdown()

    async def on_table(self, call: Callable[[JobTable], T]) -> T:
        """What a call says, which is made after those before it."""
        return await self._on_thread(lambda: call(self._table))

    def begin(self, job: Job) -> None:
        """It runs: the table is told in its turn."""
        now = time.time()
        self._thread.submit(lambda: self._table.begin(job.id, now))

    async def find(self, id: str) -> Job | None:
        """The row of a job; None where there is none, or none any more."""
        job = await self.on_table(lambda table: table.find(id))
        over = job is None or (job.ended is not None and job.ended < time.time() - self._life)
        return None if over else job

    async def clips(self) -> dict[str, float]:
        """The clips of all results, by name, with the seconds that they are kept still."""
        since = time.time() - self._life
        kept = await self.on_table(lambda table: table.kept())
        return {job.made.name: job.ended - since for job in kept if job.made and job.ended}

    async def end(
        self,
        job: Job,
        state: State,
        come_of_it: KeptClip | Failure,
        log: tuple[Line, ...] = (),
        started: float | None = None,
    ) -> None:
        """It has ended. A cancellation meanwhile is heeded afterwards."""
        now = time.time()
        if isinstance(come_of_it, Failure):
            last = Line.now(f"ended: {come_of_it.words}", "ERROR")
        else:
            last = Line.now(f"done in {now - (started or now):.1f} s")

        def end(table: JobTable) -> None:
            table.end(job.id, state, now, come_of_it, (*log, last))
            table.forget(now - self._life)

        await to_the_end(self.on_table(end))
        self.bodies.remove(job.id)
        self.leave(job.caller)
        self._metrics.jobs_ended.labels(state).inc()
        self.tell_news()

    def leave(self, caller: str | None) -> None:
        """One job fewer waits."""
        self.waiting[caller] -= 1
        if not self.waiting[caller]:
            del self.waiting[caller]
        self.measure(self.running)

    def measure(self, running: int) -> None:
        """So many of them run."""
        self.running = running
        self._metrics.jobs_running.set(running)
        self._metrics.jobs_queued.set(max(0, self.waiting.total() - running))

    async def news(self) -> None:
        """Wait until any job has come further."""
        await self._news.wait()

    def tell_news(self) -> None:
        """One has."""
        self._news.set()
        self._news = asyncio.Event()

    async def _on_thread(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
