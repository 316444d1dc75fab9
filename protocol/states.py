"""The state machine of one connection, as one table for both roles.

Everything that decides what may be said when is here, and this file does not know which role
it is used by: what one side sends is what the other receives.
"""

from __future__ import annotations

from enum import Enum
from typing import assert_never

from .messages import (
    BlockDone,
    Completed,
    Error,
    Frame,
    Message,
    Queued,
    Ready,
    Started,
    Steered,
    Unknown,
    Warned,
)
from .params import Params, Steer


class Role(Enum):
    CLIENT = "client"
    WORKER = "worker"


class State(Enum):
    """Where a connection is."""

    OPENING = "opening"  # the worker has not said ready
    EARLY = "early"  # params were sent before ready was seen
    READY = "ready"  # params are awaited
    STREAMING = "streaming"
    COMPLETED = "completed"  # new params or a reset start another stream
    FAILED = "failed"  # an error ended the session; only the close is left


class Kind(Enum):
    """What a message does to the state; the word that the table is written in."""

    READY = "ready"
    PARAMS = "params"
    STEER = "steer"
    RESET = "reset"
    FRAME = "frame"
    EVENT = "event"
    COMPLETED = "completed"
    REJECTED = "rejected"
    FAILED = "failed"


SENDER = {
    Kind.PARAMS: Role.CLIENT,
    Kind.STEER: Role.CLIENT,
    Kind.RESET: Role.CLIENT,
    Kind.READY: Role.WORKER,
    Kind.FRAME: Role.WORKER,
    Kind.EVENT: Role.WORKER,
    Kind.COMPLETED: Role.WORKER,
    Kind.REJECTED: Role.WORKER,
    Kind.FAILED: Role.WORKER,
}

TRANSITIONS: dict[State, dict[Kind, State]] = {
    State.OPENING: {
        Kind.READY: State.READY,
        Kind.PARAMS: State.EARLY,
        Kind.EVENT: State.OPENING,
        Kind.REJECTED: State.OPENING,
        Kind.FAILED: State.FAILED,
    },
    State.EARLY: {
        Kind.READY: State.STREAMING,
        Kind.STEER: State.EARLY,
        Kind.RESET: State.EARLY,
        Kind.EVENT: State.EARLY,
        Kind.REJECTED: State.OPENING,
        Kind.FAILED: State.FAILED,
    },
    State.READY: {
        Kind.PARAMS: State.STREAMING,
        # A prompt that crossed a rejection on the wire was taken for other params.
        Kind.FRAME: State.STREAMING,
        Kind.COMPLETED: State.COMPLETED,
        Kind.EVENT: State.READY,
        Kind.REJECTED: State.READY,
        Kind.FAILED: State.FAILED,
    },
    State.STREAMING: {
        Kind.STEER: State.STREAMING,
        Kind.RESET: State.STREAMING,
        Kind.FRAME: State.STREAMING,
        Kind.EVENT: State.STREAMING,
        Kind.COMPLETED: State.COMPLETED,
        Kind.REJECTED: State.READY,
        Kind.FAILED: State.FAILED,
    },
    State.COMPLETED: {
        Kind.PARAMS: State.STREAMING,
        Kind.RESET: State.STREAMING,
        Kind.STEER: State.COMPLETED,
        # A prompt that crossed `completed` on the wire starts a new stream, unasked.
        Kind.FRAME: State.STREAMING,
        Kind.COMPLETED: State.COMPLETED,
        Kind.EVENT: State.COMPLETED,
        Kind.REJECTED: State.READY,
        Kind.FAILED: State.FAILED,
    },
    State.FAILED: {},
}


def kind_of(message: Message) -> Kind:
    """The kind of a message, from its type and content alone."""
    match message:
        case Frame():
            return Kind.FRAME
        case Params():
            return Kind.PARAMS
        case Steer():
            return Kind.RESET if message.action == "reset" else Kind.STEER
        case Ready():
            return Kind.READY
        case Completed():
            return Kind.COMPLETED
        case Error():
            return Kind.FAILED if message.ends_session else Kind.REJECTED
        case Queued() | Started() | BlockDone() | Steered() | Warned() | Unknown():
            return Kind.EVENT
        case _:
            assert_never(message)
