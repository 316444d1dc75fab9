"""What can go wrong for a caller, as types that say at which point to catch it.

FramewireError
├── StateError             called at the wrong moment: before start(), after close()
├── ConnectError           no usable connection was made
│   ├── AddressError       neither a WebSocket URL nor an app id
│   ├── AuthError          a key or token is missing, or was refused
│   │   └── PlaintextError     it would go over the network in clear
│   └── WorkerStartError   the worker that was to run beside this program did not
├── ServerError            the server said in words that it cannot go on
│   ├── ParamsError        these params are no params; other ones may be tried
│   ├── CapacityError      no room now; later there may be
│   ├── SessionTimeoutError   a time limit of the server passed
│   └── WorkerFailedError  the worker broke
├── StallError             the connection stands, but nothing arrives on it
├── ConnectionLost         it broke, or closed without a word
├── PromptError            a prompt could not be expanded
├── InputError             a clip or a camera could not be read
├── TimelineError          a timeline cannot be played: says which entry, and what would be right
└── SaveError              a file could not be written

Each carries `code`, `reason` and `hint` (what to do); texts are free of secrets, and of what would
control a terminal or a log, whoever said them.
"""

from __future__ import annotations

import re
from typing import Any

from framewire.protocol import Error, ErrorCode, escaped

MOST_LETTERS = 2000
"""Of a reason; a server may say a million."""
_NUMBERED = re.compile(r"^\[(?:Errno|WinError) -?\d+\] ")
_NO_WORDS = re.compile(r"^(?:Error number|Unknown error|errno)\b.*\d")


LARGE_MESSAGE = 1_000_000
"""Bytes of a message that some servers and gateways do not take."""


class FramewireError(Exception):
    """Anything this client raises on purpose.

    Attributes:
        code: for programs: the server's code, or this class's own.
        reason: one line for a person.
        hint: what to do about it; empty where nothing is known to help.
        retry_after: seconds after which the server asks to be called again; None where it does not.
    """

    default_code = "ERROR"
    default_hint = ""

    def __init__(self, reason: str, *, code: str | None = None, hint: str | None = None) -> None:
        self.reason = self._in_line(reason)
        self.code = _cut(escaped(code or self.default_code), 64)
        self.hint = self.default_hint if hint is None else hint
        self.retry_after: float | None = None
        super().__init__(f"{self.reason} ({self.hint})" if self.hint else self.reason)

    def _in_line(self, reason: str) -> str:
        return _cut(escaped(reason), MOST_LETTERS)


class StateError(FramewireError):
    """The call does not fit what the session is doing."""

    default_code = "STATE"


class ConnectError(FramewireError):
    """No usable connection was made."""

    default_code = "CONNECT"


class AddressError(ConnectError):
    """Neither a WebSocket URL nor an app id."""

    default_code = "ADDRESS"


class AuthError(ConnectError):
    """A key or token is missing, or was refused."""

    default_code = "UNAUTHORIZED"


class PlaintextError(AuthError):
    """A key or token would go to another machine without TLS; nothing was sent."""

    default_code = "PLAINTEXT"
    default_hint = (
        "use wss:// or https://, or a tunnel to this machine's loopback; where others may read "
        "it: --allow-plaintext, allow_plaintext=True"
    )


class WorkerStartError(ConnectError):
    """A worker of one's own did not come up; its last lines are lines of the reason too."""

    default_code = "WORKER_START"

    def _in_line(self, reason: str) -> str:
        return "\n".join(_cut(escaped(line), MOST_LETTERS) for line in reason.split("\n"))


class ServerError(FramewireError):
    """The server said that it cannot go on."""

    default_code = "SERVER"


class ParamsError(ServerError):
    """These params cannot be streamed; the session stays usable and other ones may be started.

    Attributes:
        errors: pydantic's list, where there is one.
    """

    default_code = "BAD_PARAMS"

    def __init__(
        self,
        reason: str,
        *,
        code: str | None = None,
        hint: str | None = None,
        errors: tuple[dict[str, Any], ...] = (),
    ) -> None:
        super().__init__(reason, code=code, hint=hint)
        self.errors = errors


class CapacityError(ServerError):
    """No room now."""

    default_code = "AT_CAPACITY"
    default_hint = "try again later"


class SessionTimeoutError(ServerError):
    """A time limit of the server passed: idle, stalled or too long."""

    default_code = "TIMEOUT"
    default_hint = "connect anew"


class WorkerFailedError(ServerError):
    """The worker broke."""

    default_code = "INTERNAL_ERROR"
    default_hint = "connect anew; if it happens again, the worker's log says why"


class StallError(FramewireError):
    """Nothing arrived for too long."""

    default_code = "STALL"
    default_hint = "connect anew, or allow more time with frame_timeout"


class ConnectionLost(FramewireError):
    """The connection broke or was closed without a word.

    Attributes:
        close_code: the WebSocket close code; None if there was no close at all.
        unanswered: bytes of the largest message that was sent since the last one came.
    """

    default_code = "CONNECTION_LOST"
    default_hint = "connect anew"

    def __init__(
        self,
        reason: str,
        *,
        close_code: int | None = None,
        hint: str | None = None,
        unanswered: int = 0,
    ) -> None:
        if unanswered >= LARGE_MESSAGE:
            reason += f", right after a message of {unanswered / 1e6:.1f} MB"
            hint = hint or "not every server takes messages so large: send smaller pictures"
        super().__init__(reason, hint=hint)
        self.close_code = close_code
        self.unanswered = unanswered


class PromptError(FramewireError):
    """A prompt could not be expanded; it can be used as it is."""

    default_code = "PROMPT"


class InputError(FramewireError):
    """A clip or a camera could not be read."""

    default_code = "INPUT"


class TimelineError(FramewireError):
    """A timeline cannot be played; the reason names the entry, and what would be right."""

    default_code = "TIMELINE"


class SaveError(FramewireError):
    """A file could not be written."""

    default_code = "SAVE"


_BY_CODE: dict[str, type[FramewireError]] = {
    ErrorCode.UNAUTHORIZED: AuthError,
    ErrorCode.AT_CAPACITY: CapacityError,
    ErrorCode.TIMEOUT: SessionTimeoutError,
    ErrorCode.INTERNAL_ERROR: WorkerFailedError,
}


def error_from(said: Error) -> FramewireError:
    """The exception for an error message of the server."""
    if not said.ends_session:
        return ParamsError(said.reason, code=said.code, errors=said.errors)
    kind = _BY_CODE.get(said.code, ServerError)
    repeats = kind.default_hint and kind.default_hint in said.reason
    error = kind(said.reason, code=said.code, hint="" if repeats else None)
    error.retry_after = said.retry_after
    return error


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


def in_words(error: Exception) -> str:
    """What the system or FFmpeg said of a failure, without its number.

    FFmpeg has no words for some of its numbers; then these are ours.
    """
    said = getattr(error, "strerror", None) or str(error) or type(error).__name__
    said = _NUMBERED.sub("", said)
    if _NO_WORDS.search(said):
        return f"FFmpeg failed and tells no reason ({said})"
    return str(said)
