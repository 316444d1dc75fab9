"""What is said over HTTP of a file that is not taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException, Request

from framewire.worker.runtime.retry import FULL_SECONDS
from framewire.worker.server.caller_limits import caller_of
from framewire.worker.server.doors.refusals import Reason

from .errors import (
    NoSuchUpload,
    NotWritten,
    PartsMissing,
    StorageError,
    StoreFull,
    TooManyUploads,
    UploadRefused,
    UploadStalled,
    UploadTooLarge,
)

_STATUS: dict[type[StorageError], int] = {
    NoSuchUpload: 404,
    UploadStalled: 408,
    UploadTooLarge: 413,
    PartsMissing: 422,
    UploadRefused: 422,
    TooManyUploads: 429,
    NotWritten: 507,
    StoreFull: 507,
}
_REASON = {429: Reason.UPLOADS, 507: Reason.STORAGE}
"""By the status of who could not have room, as `Refusals` counts them."""


@contextmanager
def storage_errors_as_http(request: Request) -> Iterator[None]:
    """In its block, every `StorageError` is an `HTTPException`; for want of room, counted."""
    try:
        yield
    except StorageError as error:
        status = _STATUS[type(error)]
        if reason := _REASON.get(status):
            caller_of(request).refused(reason, str(error))
        headers = {"Retry-After": str(FULL_SECONDS)} if status == 429 else None
        raise HTTPException(status, str(error), headers=headers) from error
