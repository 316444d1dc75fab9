"""framewire's async client: connect, start, steer, and read or save what arrives."""

from framewire.protocol import BlockDone, Queued, Started, Steered, Warned

from .connect import connect
from .errors import (
    AddressError,
    AuthError,
    CapacityError,
    ConnectError,
    ConnectionLost,
    FramewireError,
    InputError,
    ParamsError,
    PlaintextError,
    PromptError,
    SaveError,
    ServerError,
    SessionTimeoutError,
    StallError,
    StateError,
    TimelineError,
    WorkerFailedError,
    WorkerStartError,
)
from .events import Event, Reconnected, Reconnecting
from .frames import Frame
from .local_worker import endpoint, local_worker
from .prompts.expand import expand_prompt
from .reconnect.policy import Reconnect, Redirect
from .savers import Recorder, Saved, Saver, saver_for
from .session import Session

__all__ = [
    "AddressError",
    "AuthError",
    "BlockDone",
    "CapacityError",
    "ConnectError",
    "ConnectionLost",
    "Event",
    "Frame",
    "FramewireError",
    "InputError",
    "ParamsError",
    "PlaintextError",
    "PromptError",
    "Queued",
    "Reconnect",
    "Reconnected",
    "Reconnecting",
    "Recorder",
    "Redirect",
    "SaveError",
    "Saved",
    "Saver",
    "ServerError",
    "Session",
    "SessionTimeoutError",
    "StallError",
    "Started",
    "StateError",
    "Steered",
    "TimelineError",
    "Warned",
    "WorkerFailedError",
    "WorkerStartError",
    "connect",
    "endpoint",
    "expand_prompt",
    "local_worker",
    "saver_for",
]
