"""One job: what was asked for, how far it is, and what came of it. Knows no table and no socket."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from framewire.worker.naming import name_in_ids
from framewire.worker.server.clips.kept import KeptClip

_ID_BYTES = 24


class State(StrEnum):
    """Where a job stands. The last three are ends."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def ended(self) -> bool:
        return self not in (State.QUEUED, State.RUNNING)


@dataclass(frozen=True, slots=True)
class Failure:
    """Why there is no result: the HTTP status and detail that a synchronous caller would get.

    Attributes:
        user_timeout: it did not start within the time that its caller had named.
    """

    status: int
    detail: Any
    user_timeout: bool = False

    @property
    def words(self) -> str:
        """One line."""
        if isinstance(self.detail, list):
            return "; ".join(map(_in_words, self.detail))
        return str(self.detail)


CANCELLED = Failure(499, "the request was cancelled")


@dataclass(frozen=True, slots=True)
class Line:
    """Of a job's log, in fal's shape."""

    message: str
    level: str
    timestamp: str

    @classmethod
    def now(cls, message: str, level: str = "INFO") -> Line:
        return cls(message, level, datetime.now(UTC).isoformat())


@dataclass(frozen=True, slots=True)
class Job:
    """A row of the table.

    Attributes:
        order: jobs start in this order.
        caller: what its address is counted as; None where it is exempt.
        size: bytes of its body.
        start_by: when it is to have started; its caller's own time where `user_timeout`.
        runs: how often it was begun.
    """

    order: int
    id: str
    endpoint: str
    caller: str | None
    size: int
    submitted: float
    start_by: float
    user_timeout: bool
    state: State = State.QUEUED
    runs: int = 0
    started: float | None = None
    ended: float | None = None
    made: KeptClip | None = None
    failure: Failure | None = None
    log: tuple[Line, ...] = ()


def _in_words(wrong: dict[str, Any]) -> str:
    """One of pydantic's errors, with what it is about."""
    words = str(wrong["msg"]).removeprefix("Value error, ")
    about = ".".join(map(str, wrong["loc"][1:]))
    return words if not about or words.startswith(about) else f"{about}: {words}"


def new_id(worker: str) -> str:
    """An id that nobody can guess, behind the name of the worker that knows it."""
    return f"{name_in_ids(worker)}-{secrets.token_hex(_ID_BYTES)}"
