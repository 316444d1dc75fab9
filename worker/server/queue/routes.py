"""The queue under `/queue`, as fal's clients speak with `queue.fal.run`.

`FAL_QUEUE_RUN_HOST=HOST:PORT/queue` leads fal's Python client here.
"""

from __future__ import annotations

import math
import sqlite3
from collections.abc import AsyncIterator

from fastapi import FastAPI, HTTPException, Request
from fastapi.responses import JSONResponse

from framewire.worker.clips.errors import in_words
from framewire.worker.clips.requests import ENDPOINTS
from framewire.worker.config import Config
from framewire.worker.runtime.retry import FULL_SECONDS
from framewire.worker.runtime.worker import Draining
from framewire.worker.server.auth import Gate
from framewire.worker.server.bodies import BODY_SECONDS
from framewire.worker.server.caller_limits import caller_of
from framewire.worker.server.clips.callers import check_caller
from framewire.worker.server.clips.events import EventStream
from framewire.worker.server.clips.parsing import body_limit
from framewire.worker.server.doors.refusals import Reason

from .bodies import BodyTooLarge, NoRoom
from .job import Job, State
from .jobs import Cancelling, JobQueue
from .statuses import (
    COMPLETED_STATUS,
    IN_PROGRESS_STATUS,
    headers_of,
    result,
    status,
    submitted,
)
from .watching import status_events

_REQUEST = "/queue/{owner}/{alias}/requests/{id}"
_TRUE = ("1", "true", "yes", "on")
_CANCEL_STATUS = {Cancelling.REQUESTED: 202, Cancelling.TOO_LATE: 400, Cancelling.UNKNOWN: 404}
_UNKNOWN = "no such request, or its time is over"


def add_queue_routes(app: FastAPI, config: Config, gate: Gate) -> None:
    """Add the endpoints; at start-up `app.state` gets `jobs`."""

    async def found(request: Request, id: str) -> Job:
        check_caller(config, gate, request)
        job = await _jobs(request).find(id)
        if job is None:
            raise HTTPException(404, _UNKNOWN)
        return job

    for endpoint in ENDPOINTS:
        _add_submit(app, config, gate, endpoint)

    @app.get(_REQUEST, name="job_result")
    async def job_result(request: Request, id: str) -> JSONResponse:
        job = await found(request, id)
        if not job.state.ended:
            raise HTTPException(400, "the request is still in progress", headers=headers_of(job))
        if job.made is not None and request.app.state.clips.find(job.made.name) is None:
            raise HTTPException(410, "the clip made room for newer ones", headers=headers_of(job))
        return result(request, job)

    @app.get(f"{_REQUEST}/status")
    async def job_status(request: Request, id: str) -> JSONResponse:
        job = await found(request, id)
        position = await _jobs(request).position(job) if job.state is State.QUEUED else None
        return JSONResponse(
            status(request, job, position, logs=_asks_for_logs(request)),
            COMPLETED_STATUS if job.state.ended else IN_PROGRESS_STATUS,
            headers_of(job),
        )

    @app.get(f"{_REQUEST}/status/stream")
    async def job_status_stream(request: Request, id: str) -> EventStream:
        job = await found(request, id)
        return status_events(request, _jobs(request), job, logs=_asks_for_logs(request))

    @app.put(f"{_REQUEST}/cancel")
    async def cancel_job(request: Request, id: str) -> JSONResponse:
        check_caller(config, gate, request)
        said = await _jobs(request).cancel(id)
        body = {"status": said.value}
        if said is Cancelling.UNKNOWN:
            body["detail"] = _UNKNOWN
        elif said is Cancelling.TOO_LATE:
            body["detail"] = "the request has ended already"
        return JSONResponse(body, _CANCEL_STATUS[said])

    @app.api_route("/queue/{rest:path}", methods=["GET", "POST", "PUT", "DELETE"])
    async def nowhere(request: Request, rest: str) -> None:
        """Said in words, and never made at once: `/queue/ALIAS/…` looks like an owner's app."""
        raise HTTPException(
            404,
            f"the queue has nothing at /queue/{rest[:80]!a}: POST to "
            + ", ".join(f"/queue/OWNER/{config.alias}/{endpoint}" for endpoint in ENDPOINTS),
        )


def _add_submit(app: FastAPI, config: Config, gate: Gate, endpoint: str) -> None:
    limit = body_limit(config, ENDPOINTS[endpoint])

    @app.post(f"/queue/{{owner}}/{{alias}}/{endpoint}")
    async def submit(request: Request) -> JSONResponse:
        check_caller(config, gate, request)
        if "fal_webhook" in request.query_params:
            why = "this worker calls no webhooks: ask for the request's status instead"
            detail = [{"type": "value_error", "loc": ["query", "fal_webhook"], "msg": why}]
            raise HTTPException(422, detail)
        start_within = _start_within(request)
        jobs = _jobs(request)
        try:
            job = await jobs.submit(
                endpoint, caller_of(request), _pieces(request), limit, start_within
            )
        except Draining:
            raise HTTPException(503, "the worker is shutting down: ask again") from None
        except BodyTooLarge:
            raise HTTPException(413, f"a body of more than {limit} bytes") from None
        except NoRoom:
            words = f"{config.job_megabytes} MB of requests wait already: try again later"
            caller_of(request).refused(Reason.JOBS, words)
            raise HTTPException(
                429,
                words,
                headers={"Retry-After": str(FULL_SECONDS)},
            ) from None
        except TimeoutError:
            words = f"the body did not come within {BODY_SECONDS:g} s"
            raise HTTPException(408, words) from None
        except (OSError, sqlite3.Error) as error:
            words = f"the request cannot be kept: {in_words(error)}"
            caller_of(request).refused(Reason.STORAGE, words)
            raise HTTPException(507, words) from error
        position = await jobs.position(job)
        return JSONResponse(submitted(request, job, position), headers=headers_of(job))


def _start_within(request: Request) -> float | None:
    """Seconds after which its caller does not want it begun any more."""
    said = request.headers.get("x-fal-request-timeout", "")
    if not said:
        return None
    try:
        seconds = float(said)
    except ValueError:
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds > 0):
        raise HTTPException(422, f"x-fal-request-timeout is no number of seconds: {said[:40]!a}")
    return seconds


async def _pieces(request: Request) -> AsyncIterator[bytes]:
    async for piece in request.stream():
        yield piece


def _asks_for_logs(request: Request) -> bool:
    return request.query_params.get("logs", "").lower() in _TRUE


def _jobs(request: Request) -> JobQueue:
    jobs: JobQueue = request.app.state.jobs
    return jobs
