"""The one task that starts jobs, in the order in which they came, and what comes of each."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time

from fastapi import HTTPException

from framewire.worker.runtime.worker import Draining, Worker
from framewire.worker.server.clips.kept import KeptClip

from .job import CANCELLED, Failure, Job, State
from .making import JobMaker
from .runs import Run
from .store import JobStore

logger = logging.getLogger(__name__)

BUSY_SECONDS = 300.0
"""For which a job that finds no place is tried again."""
RETRY_SECONDS = 1.0
_PAUSE_SECONDS = 0.1


class JobRunner:
    """Runs jobs until the worker shuts down or its backend hangs.

    Attributes:
        choosing: held while it is decided which job starts or ends without a run.
        runs: those that were begun, by the ids of their jobs.
    """

    def __init__(self, worker: Worker, store: JobStore, maker: JobMaker) -> None:
        self._worker = worker
        self._store = store
        self._maker = maker
        self._order = 0
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.choosing = asyncio.Lock()
        self.runs: dict[str, Run] = {}

    def start(self) -> None:
        """Begin with what waits."""
        self._task = asyncio.create_task(self._start_jobs())

    async def close(self) -> None:
        """Stop; what has not ended waits for the next process."""
        tasks = [run.task for run in self.runs.values() if run.task is not None]
        if self._task is not None:
            tasks.append(self._task)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def wake(self) -> None:
        """There is something to start."""
        self._wake.set()

    async def _start_jobs(self) -> None:
        while self._worker.ready:
            self._wake.clear()
            try:
                async with self.choosing:
                    await self._end_overdue()
                    await self._start_next()
                    due = await self._store.on_table(lambda table: table.first_due())
            except sqlite3.Error:
                logger.exception("the table of jobs cannot be used")
                due = time.time() + RETRY_SECONDS
            try:
                async with asyncio.timeout(due and max(_PAUSE_SECONDS, due - time.time())):
                    await self._worker.unless_draining(self._wake.wait())
            except TimeoutError:
                continue
            except Draining:
                return

    async def _start_next(self) -> None:
        while len(self.runs) < self._most_at_once:
            job = await self._store.on_table(lambda table: table.next_after(self._order))
            if job is None:
                return
            self._order = job.order
            run = self.runs[job.id] = Run(job, self._on_start, self._store.tell_news)
            run.task = asyncio.create_task(self._run(run))

    @property
    def _most_at_once(self) -> int:
        """Half the places: viewers shall find some, too."""
        return max(1, self._worker.admission.limit // 2)

    async def _end_overdue(self) -> None:
        now = time.time()
        for job in await self._store.on_table(lambda table: table.overdue(now)):
            waited = round(job.start_by - job.submitted, 1)
            failure = Failure(504, f"it did not start within {waited:g} s", job.user_timeout)
            run = self.runs.get(job.id)
            if run is None:
                await self._store.end(job, State.FAILED, failure)
            elif run.started is None:
                run.stop(failure)

    async def _run(self, run: Run) -> None:
        job = run.job
        if job.runs:
            run.say("begun again: the worker was stopped while it made this", "WARN")
        try:
            end = await self._outcome(run)
            if end is not None:
                await self._store.end(job, *end, tuple(run.log), run.started)
            elif run.started is not None:
                await self._put_back(job)
        except sqlite3.Error:
            logger.exception("what came of a job cannot be kept")
        finally:
            del self.runs[job.id]
            self.measure()
            self._wake.set()

    async def _put_back(self, job: Job) -> None:
        """It was no fault of its own that it ended: it waits as if it had not been begun."""
        await self._store.on_table(lambda table: table.put_back(job.id, counts=False))

    async def _outcome(self, run: Run) -> tuple[State, KeptClip | Failure] | None:
        """What a run ends as; None where another is to come."""
        run.begun = True
        try:
            if run.stopped is not None:
                raise asyncio.CancelledError
            made = await self._made(run)
        except asyncio.CancelledError:
            if run.stopped is None:
                return None
            state = State.CANCELLED if run.stopped is CANCELLED else State.FAILED
            return state, run.stopped
        except HTTPException as error:
            if self._worker.draining.is_set() and error.status_code == 503:
                return None
            return State.FAILED, Failure(error.status_code, error.detail)
        except Exception:
            logger.exception("a job failed")
            return State.FAILED, Failure(500, "Internal Server Error")
        for warning in made.warnings:
            run.say(warning, "WARN")
        return State.DONE, made

    async def _made(self, run: Run) -> KeptClip:
        """Its clip, tried again while there is no place for it."""
        job, until = run.job, time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self._maker.make(
                    job.endpoint, self._store.bodies.path(job.id), run.tell
                )
            except HTTPException as error:
                if error.status_code != 429 or run.started is not None:
                    raise
                if time.monotonic() > until:
                    raise HTTPException(503, f"no place came free: {error.detail}") from error
            await asyncio.sleep(RETRY_SECONDS)

    def _on_start(self, run: Run) -> None:
        self._store.begin(run.job)
        self.measure()

    def measure(self) -> None:
        """Count those that have started."""
        self._store.measure(sum(run.started is not None for run in self.runs.values()))
