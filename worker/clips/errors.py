"""Why there is no clip: one class for each thing that a caller can do about it."""

from __future__ import annotations

import re

_NUMBERED = re.compile(r"^\[(?:Errno|WinError) -?\d+\] ")
_NO_WORDS = re.compile(r"^(?:Error number|Unknown error|errno)\b.*\d")


class ClipError(Exception):
    """There is no clip; the message is one line for the caller."""


class ClipRefused(ClipError):
    """The request cannot be fulfilled as it is.

    Attributes:
        key: of the request's value that is to be changed.
    """

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason)
        self.key = key


class ClipBusy(ClipError):
    """No place is free: ask again later."""


class WorkerStopping(ClipError):
    """The worker shuts down: ask again, or another one."""


class NotInstalled(ClipError):
    """This worker lacks what it takes."""


class HelperFailed(ClipError):
    """Another service that the operator has configured gave no answer."""


class BackendHangs(ClipError):
    """The backend does not come back."""


class ClipTooLong(ClipError):
    """The clip took longer than a session may."""


class ClipNotWritten(ClipError):
    """The clip has no room on the worker's disk, or cannot be written there for another reason."""


class CallerLeft(ClipError):
    """Nobody waits for the clip any more."""


def in_words(error: Exception) -> str:
    """What the system or FFmpeg said of a failure, without its number.

    FFmpeg has no words for some of its numbers; then these are ours.
    """
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    said = _NUMBERED.sub("", said)
    if _NO_WORDS.search(said):
        return f"FFmpeg failed and tells no reason ({said})"
    return str(said)
