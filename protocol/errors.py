"""What can go wrong on the wire, as types that say whose fault it is.

ProtocolError
├── LocalProtocolError    this program broke the rules: a bug here
└── RemoteProtocolError   the peer did; carries what to answer and whether to hang up
"""

from __future__ import annotations

from .messages import CloseCode, Error


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
