"""The queue: jobs are taken in, asked after and ended; how they run is the runner's.

Knows no HTTP but the failures that a job's caller is told.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from enum import StrEnum
from pathlib import Path

from fastapi import HTTPException

from framewire.worker.runtime.to_the_end import to_the_end
from framewire.worker.runtime.worker import Draining, Worker
from framewire.worker.server.bodies import BODY_SECONDS
from framewire.worker.server.doors.callers import Caller
from framewire.worker.server.doors.refusals import Reason

from .job import CANCELLED, Failure, Job, State, new_id
from .making import JobMaker
from .runner import JobRunner
from .store import JobStore

MOST_RUNS = 3
"""A job that was running when its worker was killed so many times is not begun again."""


class Cancelling(StrEnum):
    """What fal answers to a cancellation."""

    REQUESTED = "CANCELLATION_REQUESTED"
    TOO_LATE = "ALREADY_COMPLETED"
    UNKNOWN = "NOT_FOUND"


class JobQueue:
    """Made and used on one event loop; `open` it first.

    Args:
        folder: nobody else's.
    """

    def __init__(self, worker: Worker, folder: Path, maker: JobMaker) -> None:
        config = self._config = worker.config
        self._worker = worker
        self._maker = maker
        self._store = JobStore(
            folder, config.clip_life, config.job_megabytes * 1_000_000, worker.metrics
        )
        self._runner = JobRunner(worker, self._store, maker)

    async def open(self) -> dict[str, float]:
        """Read what an earlier process has left.

        Returns:
            The clips of its results, by name, with the seconds that they are kept still.
        """
        for job in await self._store.open():
            await self._taken_over(job)
        self._runner.measure()
        return await self._store.clips()

    def start(self) -> None:
        """Run what waits, from now on."""
        self._runner.start()

    async def close(self) -> None:
        """Stop; what has not ended waits for the next process."""
        await self._runner.close()
        await self._store.close()

    async def submit(
        self,
        endpoint: str,
        caller: Caller,
        body: AsyncIterator[bytes],
        limit: int,
        start_within: float | None = None,
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
        store, id = self._store, new_id(self._worker.name)
        store.waiting[caller.key] += 1
        try:
            async with asyncio.timeout(BODY_SECONDS):
                size = await store.bodies.write(id, body, limit)
            failure = await self._judged(endpoint, id)
            now, most = time.time(), self._config.job_wait
            job = Job(
                order=0,
                id=id,
                endpoint=endpoint,
                caller=caller.key,
                size=size,
                submitted=now,
                start_by=now + min(start_within or most, most),
                user_timeout=start_within is not None and start_within <= most,
            )
            return await to_the_end(self._taken_in(job, failure))
        except BaseException:
            store.leave(caller.key)
            store.bodies.remove(id)
            raise

    async def find(self, id: str) -> Job | None:
        """The job of this id; None where there is none, or none any more."""
        job, run = await self._store.find(id), self._runner.runs.get(id)
        return job if job is None or run is None else run.shown(job)

    async def position(self, job: Job) -> int:
        """How many wait in front of a job that waits."""
        return await self._store.on_table(lambda table: table.ahead_of(job))

    async def news(self, seconds: float) -> bool:
        """Wait until any job has come further, for so long at most; returns whether one has."""
        try:
            async with asyncio.timeout(seconds):
                await self._worker.unless_draining(self._store.news())
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
        async with self._runner.choosing:
            job = await self.find(id)
            if job is None:
                return Cancelling.UNKNOWN
            if job.state.ended:
                return Cancelling.TOO_LATE
            if run := self._runner.runs.get(id):
                run.stop(CANCELLED)
            else:
                await self._store.end(job, State.CANCELLED, CANCELLED)
        return Cancelling.REQUESTED

    def _check_room(self, caller: Caller) -> None:
        most, own, waiting = self._config.jobs, self._config.caller_jobs, self._store.waiting
        if not most:
            why = "this worker has no queue: its operator set jobs to 0"
        elif caller.key is not None and own and waiting[caller.key] >= own:
            why = f"{own} requests of your address are in the queue: wait for one first"
        elif waiting.total() - self._store.running >= most:
            why = f"{most} requests are in the queue: try again later"
        else:
            return
        raise caller.refused(Reason.JOBS, why)

    async def _judged(self, endpoint: str, id: str) -> Failure | None:
        try:
            await self._maker.check(endpoint, self._store.bodies.path(id))
        except HTTPException as error:
            return Failure(error.status_code, error.detail)
        return None

    async def _taken_in(self, job: Job, failure: Failure | None) -> Job:
        async with self._runner.choosing:
            new = await self._store.on_table(lambda table: table.add(job))
            if failure is not None:
                await self._store.end(new, State.FAILED, failure)
        self._runner.measure()
        self._runner.wake()
        return new

    async def _taken_over(self, job: Job) -> None:
        """Let a job of an earlier process wait again, unless that ended too often with it."""
        if not self._store.bodies.path(job.id).exists():
            failure = Failure(500, "its input is not there any more")
            await self._store.end(job, State.FAILED, failure)
        elif job.state is State.RUNNING and job.runs >= MOST_RUNS:
            failure = Failure(503, f"the worker ended {job.runs} times while it made this")
            await self._store.end(job, State.FAILED, failure)
        elif job.state is State.RUNNING:
            await self._store.on_table(lambda table: table.put_back(job.id, counts=True))
