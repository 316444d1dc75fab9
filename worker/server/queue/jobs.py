"""The queue: jobs are taken in, wait, run in the order in which they came, and are remembered.

What outlives the process is in the table and the bodies; here is who waits for what, and the one
task that starts jobs. Knows no HTTP but the failures that a job's caller is told.
"""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from fastapi import HTTPException

from framewire.worker.runtime.to_the_end import to_the_end
from framewire.worker.runtime.worker import Draining, Worker
from framewire.worker.server.bodies import BODY_SECONDS
from framewire.worker.server.clips.kept import KeptClip
from framewire.worker.server.doors.callers import Caller
from framewire.worker.server.doors.refusals import Reason

from .bodies import JobBodies
from .job import Failure, Job, Line, State, new_id
from .making import JobMaker
from .runs import Run
from .table import JobTable

logger = logging.getLogger(__name__)
T = TypeVar("T")

MOST_RUNS = 3
"""A job that was running when its worker was killed so many times is not begun again."""
BUSY_SECONDS = 300.0
"""For which a job that finds no place is tried again."""
RETRY_SECONDS = 1.0
_PAUSE_SECONDS = 0.1
CANCELLED = Failure(499, "the request was cancelled")


class Cancelling(StrEnum):
    """What fal answers to a cancellation."""

    REQUESTED = "CANCELLATION_REQUESTED"
    TOO_LATE = "ALREADY_COMPLETED"
    UNKNOWN = "NOT_FOUND"


class JobQueue:
    """Made and used on one event loop; `open` it first.

    Args:
        folder: nobody else's, for the table and the bodies.
    """

    def __init__(self, worker: Worker, folder: Path, maker: JobMaker) -> None:
        folder.mkdir(mode=0o700, exist_ok=True)
        self._worker = worker
        self._config = worker.config
        self._path = folder / "jobs.sqlite"
        self._bodies = JobBodies(folder / "bodies", worker.config.job_megabytes * 1_000_000)
        self._maker = maker
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="framewire-jobs")
        self._waiting: Counter[str | None] = Counter()
        self._runs: dict[str, Run] = {}
        self._order = 0
        self._choosing = asyncio.Lock()
        self._wake = asyncio.Event()
        self._news = asyncio.Event()
        self._starting: asyncio.Task[None] | None = None

    async def open(self) -> dict[str, float]:
        """Read what an earlier process has left; its jobs run again.

        Returns:
            The clips of its results, by name, with the seconds that they are kept still.
        """
        self._table = await self._on_table(lambda: JobTable(self._path))
        now = time.time()
        await self._on_table(lambda: self._table.forget(now - self._config.clip_life))
        unfinished = await self._on_table(self._table.unfinished)
        self._bodies.adopt({job.id for job in unfinished})
        for job in unfinished:
            await self._taken_over(job)
        kept = await self._on_table(self._table.kept)
        return {
            job.made.name: job.ended + self._config.clip_life - now
            for job in kept
            if job.made is not None and job.ended is not None
        }

    def start(self) -> None:
        """Start what waits, from now on."""
        self._starting = asyncio.create_task(self._start_jobs())

    async def close(self) -> None:
        """Stop; what has not ended waits for the next process."""
        tasks = [run.task for run in self._runs.values() if run.task is not None]
        if self._starting is not None:
            tasks.append(self._starting)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._on_table(self._table.close)
        self._thread.shutdown()

    async def submit(
        self,
        endpoint: str,
        caller: Caller,
        body: AsyncIterator[bytes],
        limit: int,
        start_within: float | None,
    ) -> Job:
        """Take a job in.

        Args:
            body: read to its end, within a time.
            limit: bytes that it may have.
            start_within: seconds for which its caller will have it wait.

        Raises:
            Draining: the worker shuts down.
            Refused: so many wait already.
            BodyTooLarge, NoRoom, TimeoutError, OSError: the body cannot be had or kept.
        """
        if self._worker.draining.is_set():
            raise Draining
        self._check_room(caller)
        id = new_id(self._worker.name)
        self._waiting[caller.key] += 1
        try:
            async with asyncio.timeout(BODY_SECONDS):
                size = await self._bodies.write(id, body, limit)
            failure = await self._judged(endpoint, id)
            now = time.time()
            job = Job(
                order=0,
                id=id,
                endpoint=endpoint,
                caller=caller.key,
                size=size,
                submitted=now,
                start_by=now + min(start_within or self._config.job_wait, self._config.job_wait),
                user_timeout=start_within is not None and start_within <= self._config.job_wait,
            )
            return await to_the_end(self._taken_in(job, failure))
        except BaseException:
            self._waiting[caller.key] -= 1
            self._bodies.remove(id)
            raise

    async def find(self, id: str) -> Job | None:
        """The job of this id; None where there is none, or none any more."""
        job = await self._on_table(lambda: self._table.find(id))
        if job is None or (job.ended or time.time()) < time.time() - self._config.clip_life:
            return None
        run = self._runs.get(id)
        return job if run is None else run.shown(job)

    async def position(self, job: Job) -> int:
        """How many wait in front of a job that waits."""
        return await self._on_table(lambda: self._table.ahead_of(job))

    async def news(self, seconds: float) -> bool:
        """Wait until any job has come further, for so long at most; returns whether one has."""
        try:
            async with asyncio.timeout(seconds):
                await self._worker.unless_draining(self._news.wait())
        except TimeoutError:
            return False
        except Draining:
            pass
        return True

    @property
    def stopping(self) -> bool:
        """Whether jobs go on only with the next process."""
        return self._worker.draining.is_set()

    async def cancel(self, id: str) -> Cancelling:
        """End a job before its end."""
        async with self._choosing:
            job = await self.find(id)
            if job is None:
                return Cancelling.UNKNOWN
            if job.state.ended:
                return Cancelling.TOO_LATE
            if id in self._runs:
                self._runs[id].stop(CANCELLED)
            else:
                await self._ended(job, State.CANCELLED, CANCELLED)
        return Cancelling.REQUESTED

    def _check_room(self, caller: Caller) -> None:
        most, own = self._config.jobs, self._config.caller_jobs
        if not most:
            raise caller.refused(
                Reason.JOBS, "this worker has no queue: its operator set jobs to 0"
            )
        if caller.key is not None and own and self._waiting[caller.key] >= own:
            raise caller.refused(
                Reason.JOBS, f"{own} requests of your address are in the queue: wait for one first"
            )
        if self._waiting.total() >= most:
            raise caller.refused(Reason.JOBS, f"{most} requests are in the queue: try again later")

    async def _judged(self, endpoint: str, id: str) -> Failure | None:
        try:
            await self._maker.check(endpoint, self._bodies.path(id))
        except HTTPException as error:
            return Failure(error.status_code, error.detail)
        return None

    async def _taken_in(self, job: Job, failure: Failure | None) -> Job:
        async with self._choosing:
            new = await self._on_table(lambda: self._table.add(job))
            if failure is not None:
                await self._ended(new, State.FAILED, failure)
        self._measure()
        self._wake.set()
        return new

    async def _taken_over(self, job: Job) -> None:
        """Let a job of an earlier process wait again, unless that ended too often with it."""
        self._waiting[job.caller] += 1
        if not self._bodies.path(job.id).exists():
            await self._ended(job, State.FAILED, Failure(500, "its input is not there any more"))
        elif job.state is State.RUNNING and job.runs >= MOST_RUNS:
            words = f"the worker ended {job.runs} times while it made this"
            await self._ended(job, State.FAILED, Failure(503, words))
        elif job.state is State.RUNNING:
            await self._on_table(lambda: self._table.put_back(job.id, counts=True))
        self._measure()

    async def _start_jobs(self) -> None:
        """Start what waits, in order, until the worker shuts down or its backend hangs."""
        while self._worker.ready:
            self._wake.clear()
            try:
                async with self._choosing:
                    await self._end_overdue()
                    await self._start_next()
                    due = await self._on_table(self._table.first_due)
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
        while len(self._runs) < self._most_at_once:
            job = await self._on_table(lambda: self._table.next_after(self._order))
            if job is None:
                return
            self._order = job.order
            run = self._runs[job.id] = Run(job, self._on_start, self._tell_news)
            run.task = asyncio.create_task(self._run(run))

    @property
    def _most_at_once(self) -> int:
        """Half the places: viewers shall find some, too."""
        return max(1, self._worker.admission.limit // 2)

    async def _end_overdue(self) -> None:
        for job in await self._on_table(lambda: self._table.overdue(time.time())):
            waited = round(job.start_by - job.submitted)
            failure = Failure(504, f"it did not start within {waited} s", job.user_timeout)
            run = self._runs.get(job.id)
            if run is None:
                await self._ended(job, State.FAILED, failure)
            elif run.started is None:
                run.stop(failure)

    async def _run(self, run: Run) -> None:
        job = run.job
        if job.runs:
            run.say("begun again: the worker was stopped while it made this", "WARN")
        try:
            end = await self._outcome(run)
            if end is not None:
                await self._ended(job, *end, run)
            elif run.started is not None:
                await self._on_table(lambda: self._table.put_back(job.id, counts=False))
        except sqlite3.Error:
            logger.exception("what came of a job cannot be kept")
        finally:
            del self._runs[job.id]
            self._measure()
            self._wake.set()

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
        until = time.monotonic() + BUSY_SECONDS
        while True:
            try:
                return await self._maker.make(
                    run.job.endpoint, self._bodies.path(run.job.id), run.tell
                )
            except HTTPException as error:
                if error.status_code != 429 or run.started is not None:
                    raise
                if time.monotonic() > until:
                    raise HTTPException(503, f"no place came free: {error.detail}") from error
            await asyncio.sleep(RETRY_SECONDS)

    def _on_start(self, run: Run) -> None:
        now = time.time()
        self._thread.submit(lambda: self._table.begin(run.job.id, now))
        self._measure()

    async def _ended(
        self, job: Job, state: State, come_of_it: KeptClip | Failure, run: Run | None = None
    ) -> None:
        now = time.time()
        if isinstance(come_of_it, Failure):
            last = Line.now(f"ended: {come_of_it.words}", "ERROR")
        else:
            last = Line.now(f"done in {now - ((run and run.started) or now):.1f} s")
        log = (*(run.log if run else ()), last)

        def end() -> None:
            self._table.end(job.id, state, now, come_of_it, log)
            self._table.forget(now - self._config.clip_life)

        await to_the_end(self._on_table(end))
        self._bodies.remove(job.id)
        self._waiting[job.caller] -= 1
        self._waiting = +self._waiting
        self._worker.metrics.jobs_ended.labels(state).inc()
        self._measure()
        self._tell_news()

    def _measure(self) -> None:
        running = sum(run.started is not None for run in self._runs.values())
        self._worker.metrics.jobs_running.set(running)
        self._worker.metrics.jobs_queued.set(self._waiting.total() - running)

    def _tell_news(self) -> None:
        self._news.set()
        self._news = asyncio.Event()

    async def _on_table(self, call: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, call)
