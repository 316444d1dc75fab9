"""Why a file is not taken: one class for each thing that a caller can do about it."""

from __future__ import annotations


class StorageError(Exception):
    """The message is one line for the caller."""


class UploadRefused(StorageError):
    """What is asked for is not to be had here, whoever asks."""


class UploadTooLarge(StorageError):
    """One file may not have so many bytes."""


class NoSuchUpload(StorageError):
    """It was never begun, is whole already, or its time is over."""


class PartsMissing(StorageError):
    """The parts that are named are not those that came."""


class TooManyUploads(StorageError):
    """The caller has as many under way as it may: finish one first."""


class UploadStalled(StorageError):
    """Its bytes did not come in time."""


class StoreFull(StorageError):
    """There is no room until others' time is over."""


class NotWritten(StorageError):
    """The worker's disk took it not."""
