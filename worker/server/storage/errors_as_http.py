"""What is said over HTTP of a file that is not taken."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from fastapi import HTTPException

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


@contextmanager
def storage_errors_as_http() -> Iterator[None]:
    """In its block, every `StorageError` is an `HTTPException`."""
    try:
        yield
    except StorageError as error:
        raise HTTPException(_STATUS[type(error)], str(error)) from error
