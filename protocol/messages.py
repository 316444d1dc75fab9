"""What the worker says: ready, frames, completed, errors and their codes, and the opt-in events.

Each class is one message; `Connection` turns them into what goes over the socket and back.
What the client says is in `params`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from .limits import MAX_BLOCKS, MAX_FPS, MAX_JPEG_SIDE, MAX_RETRY_AFTER
from .params import Params, Steer


class CloseCode(IntEnum):
    """WebSocket close codes that the protocol uses (RFC 6455, 7.4)."""

    NORMAL = 1000
    POLICY = 1008
    TOO_BIG = 1009
    INTERNAL = 1011
    RESTART = 1012
    TRY_LATER = 1013


class ErrorCode(StrEnum):
    """The `error` of an error message. `BAD_PARAMS` stands for a list of validation errors."""

    BAD_PARAMS = "BAD_PARAMS"
    BAD_MESSAGE = "BAD_MESSAGE"
    UNAUTHORIZED = "UNAUTHORIZED"
    AT_CAPACITY = "AT_CAPACITY"
    TIMEOUT = "TIMEOUT"
    INTERNAL_ERROR = "INTERNAL_ERROR"


CLOSE_CODES = {
    ErrorCode.BAD_PARAMS: CloseCode.POLICY,
    ErrorCode.BAD_MESSAGE: CloseCode.POLICY,
    ErrorCode.UNAUTHORIZED: CloseCode.POLICY,
    ErrorCode.AT_CAPACITY: CloseCode.TRY_LATER,
    ErrorCode.TIMEOUT: CloseCode.POLICY,
    ErrorCode.INTERNAL_ERROR: CloseCode.INTERNAL,
}
"""The close code that follows an error which ends the session (a drain closes with 1012)."""


Count = Annotated[int, Field(ge=0, le=MAX_BLOCKS)]
Side = Annotated[int, Field(ge=1, le=MAX_JPEG_SIDE)]


class _Said(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class Ready(_Said):
    """The worker will take params. `worker` is its name, sent on `/session/{id}` only."""

    status: Literal["ready"] = "ready"
    worker: str | None = None


class Completed(_Said):
    """The last frame of the stream has been sent; the socket stays open."""

    session_id: str = ""
    status: Literal["completed"] = "completed"


class Error(_Said):
    """Something was refused or failed.

    Attributes:
        code: one of `ErrorCode`, or whatever another server sent.
        reason: one line for a person.
        errors: pydantic's list of what is wrong with the params; empty otherwise.
        retry_after: seconds after which to connect again; None where that would not help, or
            where the server does not say.
    """

    code: str
    reason: str = ""
    errors: tuple[dict[str, Any], ...] = ()
    retry_after: Annotated[float, Field(ge=0, le=MAX_RETRY_AFTER, allow_inf_nan=False)] | None = (
        None
    )

    @property
    def ends_session(self) -> bool:
        """False where the socket stays open and other params may be tried."""
        return self.code not in (ErrorCode.BAD_PARAMS, ErrorCode.BAD_MESSAGE)


class Queued(_Said):
    """The worker is full; `position` 1 is next."""

    type: Literal["queued"] = "queued"
    position: Count


class Started(_Said):
    """A stream begins, with the values that were settled for it.

    Attributes:
        first_block_frames, block_frames, fps: frames of the first block and of each later one, and
            the preset's rate; None where the worker does not tell. One that does also heeds
            `steers` and `at_frame`.
        params: the params in force, as they would be sent; pictures are left out.
        made_with: what else the bytes of its frames depend on, by name.
    """

    type: Literal["started"] = "started"
    session_id: str
    seed: Count
    width: Side
    height: Side
    num_blocks: Count
    backend: str
    first_block_frames: Count | None = None
    block_frames: Count | None = None
    fps: Annotated[float, Field(gt=0, le=MAX_FPS, allow_inf_nan=False)] | None = None
    params: dict[str, Any] = Field(default_factory=dict)
    made_with: Mapping[str, str | int | float | bool] = Field(default_factory=dict)


class BlockDone(_Said):
    """One block was made: its first frame's index, its frames, milliseconds a stage."""

    type: Literal["block"] = "block"
    block: Count
    index: Count
    frames: Count
    prompt_version: Count
    ms: dict[str, float] = Field(default_factory=dict)


class Steered(_Said):
    """A change took effect from `block` on; `applied` names its keys, `values` says all of it."""

    type: Literal["steered"] = "steered"
    block: Count
    prompt_version: Count
    applied: tuple[str, ...] = ()
    values: dict[str, Any] = Field(default_factory=dict)


class Warned(_Said):
    """Something was refused while the stream goes on. Never has an `error` key.

    `request_id` is that of the input picture which was refused, if it was one and had one.
    """

    type: Literal["warning"] = "warning"
    reason: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """One picture, a whole JPEG. What the plain wire does not carry is None.

    Attributes:
        index: counted from the first frame of the stream.
        block: counted from the first block of the stream.
        request_id: of the input picture that the frame was made from.
        prompt_version: 1 for the first prompt, one more with each change.
    """

    jpeg: bytes
    index: int | None = None
    block: int | None = None
    request_id: str | None = None
    prompt_version: int | None = None


@dataclass(frozen=True, slots=True)
class Unknown:
    """A message of another server that this protocol has no name for; not an error."""

    payload: dict[str, Any] | bytes


Event = Queued | Started | BlockDone | Steered | Warned
FromWorker = Ready | Frame | Completed | Error | Event | Unknown
FromClient = Params | Steer
Message = FromWorker | FromClient
