"""The statuses of a job as server-sent events, each with the lines of its log that are new."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from fastapi import Request

from framewire.worker.server.clips.events import ALIVE, ALIVE_SECONDS, EventStream, event

from .job import Job, State
from .jobs import JobQueue
from .statuses import headers_of, status

REST_SECONDS = 0.1
"""Between two looks at a job, however much is new."""


def status_events(request: Request, jobs: JobQueue, job: Job, *, logs: bool) -> EventStream:
    """Where the job stands, each time that this has changed, until it has ended.

    It breaks off where the worker shuts down: the job goes on with the next.
    """

    async def events() -> AsyncIterator[bytes]:
        before: dict[str, Any] | None = None
        seen = 0
        found: Job | None = job
        while found is not None:
            position = await jobs.position(found) if found.state is State.QUEUED else None
            said = status(request, found, position, logs=logs, lines_seen=seen)
            if said.get("logs") or _without_logs(said) != before:
                yield event(said)
                before, seen = _without_logs(said), len(found.log)
            if found.state.ended:
                return
            if jobs.stopping:
                break
            if not await jobs.news(ALIVE_SECONDS):
                yield ALIVE
            await asyncio.sleep(REST_SECONDS)
            found = await jobs.find(job.id)
        response.broken = True

    response = EventStream(events(), headers_of(job))
    return response


def _without_logs(said: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in said.items() if key != "logs"}
