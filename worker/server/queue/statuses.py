"""What fal's queue says of a job, in the shapes that its SDKs read."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.responses import JSONResponse

from framewire.worker.server.clips.routes import REQUEST_ID_HEADER, clip_answer

from .job import Failure, Job, State

IN_PROGRESS_STATUS, COMPLETED_STATUS = 202, 200
"""Of the answer to who asks for the status."""
_KINDS = {499: "client_cancelled", 503: "runner_disconnected", 504: "request_timeout"}
_SERVER_ERROR = 500


def headers_of(job: Job) -> dict[str, str]:
    return {REQUEST_ID_HEADER: job.id}


def submitted(request: Request, job: Job, position: int) -> dict[str, Any]:
    """The answer to who submits a job."""
    return {"status": "IN_QUEUE", **_urls(request, job), "queue_position": position}


def status(
    request: Request, job: Job, position: int | None, *, logs: bool, lines_seen: int = 0
) -> dict[str, Any]:
    """Where a job stands.

    Args:
        position: of one that waits.
        lines_seen: lines of its log that are left out.
    """
    said = _urls(request, job)
    if job.state is State.QUEUED:
        return {"status": "IN_QUEUE", **said, "queue_position": position}
    said["logs"] = (
        [
            {
                "message": line.message,
                "level": line.level,
                "source": "USER",
                "timestamp": line.timestamp,
            }
            for line in job.log[lines_seen:]
        ]
        if logs
        else None
    )
    if not job.state.ended:
        return {"status": "IN_PROGRESS", **said}
    seconds = None
    if job.started is not None and job.ended is not None:
        seconds = round(job.ended - job.started, 3)
    said["metrics"] = {"inference_time": seconds}
    if job.failure is not None:
        said |= {"error": job.failure.words, "error_type": _kind(job.failure)}
    return {"status": "COMPLETED", **said}


def result(request: Request, job: Job) -> JSONResponse:
    """What came of a job that has ended."""
    if job.made is not None:
        answer = clip_answer(request, job.made)
        return JSONResponse(answer.model_dump(mode="json"), headers=headers_of(job))
    failure = job.failure or Failure(_SERVER_ERROR, "it is not known what came of it")
    body, headers = {"detail": failure.detail}, headers_of(job)
    if kind := _kind(failure):
        body["error_type"] = headers["X-Fal-Error-Type"] = kind
    if failure.user_timeout:
        headers["X-Fal-Request-Timeout-Type"] = "user"
    return JSONResponse(body, failure.status, headers)


def _kind(failure: Failure) -> str | None:
    """fal's word for what is nobody's input's fault."""
    return _KINDS.get(failure.status, "internal_error" if failure.status >= _SERVER_ERROR else None)


def _urls(request: Request, job: Job) -> dict[str, Any]:
    owner, alias = request.path_params["owner"], request.path_params["alias"]
    url = str(request.url_for("job_result", owner=owner, alias=alias, id=job.id))
    return {
        "request_id": job.id,
        "response_url": url,
        "status_url": f"{url}/status",
        "cancel_url": f"{url}/cancel",
    }
