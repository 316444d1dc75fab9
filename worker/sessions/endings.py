"""Why a session ends, and what its viewer is told of it: an error's code and words, a close code."""

from __future__ import annotations

import logging

from framewire.protocol import CLOSE_CODES, CloseCode, ErrorCode
from framewire.worker.backends.base import BackendBroken, CapacityError
from framewire.worker.runtime.admission import Full
from framewire.worker.runtime.lane import LaneStuck
from framewire.worker.runtime.worker import Draining

from .input_queue import InputGap
from .viewer_socket import Disconnected

logger = logging.getLogger(__name__)

TOO_MANY = "too many messages in a row that are no params"
_DRAINING = "the worker is shutting down: connect again"


class Stalled(Exception):
    """The viewer has not read for longer than it may."""


class Ended(Exception):
    """The session is over: what to say (nothing where it was said already) and how to close."""

    def __init__(
        self,
        code: ErrorCode,
        reason: str,
        close_code: CloseCode | None = None,
        *,
        said: bool = False,
    ) -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.close_code = CLOSE_CODES[code] if close_code is None else close_code
        self.said = said


def ending_of(
    error: BaseException | None, session_id: str, *, draining: bool
) -> Disconnected | Stalled | Ended:
    """How a session ends whose task ended with `error`."""
    match error:
        case Disconnected() | Stalled() | Ended():
            return error
        case Draining():
            return Ended(ErrorCode.AT_CAPACITY, _DRAINING, CloseCode.RESTART)
        case Full() if draining:
            return Ended(ErrorCode.AT_CAPACITY, _DRAINING, CloseCode.RESTART)
        case Full() | CapacityError():
            return Ended(ErrorCode.AT_CAPACITY, str(error))
        case InputGap():
            return Ended(ErrorCode.TIMEOUT, str(error))
        case BackendBroken():
            return Ended(ErrorCode.INTERNAL_ERROR, str(error))
        case LaneStuck():
            return Ended(ErrorCode.INTERNAL_ERROR, "the backend hangs")
    logger.error("session %s failed", session_id, exc_info=error)
    return Ended(ErrorCode.INTERNAL_ERROR, "the stream failed; the worker's log says why")
