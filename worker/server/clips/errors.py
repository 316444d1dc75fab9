"""What a clip's failure is called over HTTP, by the local server and on fal alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

from framewire.worker.clips.errors import (
    BackendHangs,
    CallerLeft,
    ClipBusy,
    ClipError,
    ClipNotWritten,
    ClipRefused,
    ClipTooLong,
    HelperFailed,
    NotInstalled,
    WorkerStopping,
)

_STATUS: dict[type[ClipError], int] = {
    ClipRefused: 422,
    ClipBusy: 429,
    CallerLeft: 499,
    BackendHangs: 500,
    NotInstalled: 501,
    HelperFailed: 502,
    WorkerStopping: 503,
    ClipTooLong: 504,
    ClipNotWritten: 507,
}


@contextmanager
def clip_errors_as_http() -> Iterator[None]:
    """In its block, every `ClipError` is an `HTTPException`."""
    try:
        yield
    except ClipRefused as error:  # in the shape of pydantic's errors, as fal answers
        detail = {"type": "value_error", "loc": ["body", error.key], "msg": f"{error.key}: {error}"}
        raise HTTPException(_STATUS[ClipRefused], [detail]) from error
    except ClipError as error:
        headers = {"Retry-After": "5"} if isinstance(error, ClipBusy) else None
        raise HTTPException(_STATUS[type(error)], str(error), headers=headers) from error
