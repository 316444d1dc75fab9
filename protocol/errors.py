"""What can go wrong on the wire, as types that say whose fault it is.

ProtocolError
├── LocalProtocolError    this program broke the rules: a bug here
└── RemoteProtocolError   the peer did; carries what to answer and whether to hang up
"""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .messages import Error


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


class ProtocolError(Exception):
    """A message that the protocol does not allow."""


class LocalProtocolError(ProtocolError):
    """This side tried to send what its state or role does not allow."""


class RemoteProtocolError(ProtocolError):
    """The peer sent what the protocol does not allow.

    Attributes:
        reply: the error message to answer with, None where the answer is silence
            (a bad map while a stream runs must not end it).
        close_code: the code to close the socket with, None where it stays open.
    """

    def __init__(
        self, reason: str, *, reply: Error | None = None, close_code: CloseCode | None = None
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.reply = reply
        self.close_code = close_code
