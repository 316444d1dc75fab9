"""What a caller is told beside frames: the worker's own events, and what became of the connection.

Knows neither wire nor session; both tell through here, so that a callback cannot break them.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

from framewire.protocol import Event as WorkerEvent

from .errors import FramewireError

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Reconnecting:
    """The connection was lost in mid stream; another one is opened after `delay`.

    Attributes:
        attempt: from 1; counted anew once a frame has come.
        delay: seconds until it is opened.
        cause: why the last connection, or the last attempt, ended.
        frames: how many of the stream have been received.
    """

    attempt: int
    delay: float
    cause: FramewireError
    frames: int


@dataclass(frozen=True, slots=True)
class Reconnected:
    """The stream goes on: a worker has been asked for what is left of it.

    Attributes:
        attempts: how many it took.
        seconds: since the connection was lost.
        frames: how many of the stream had been received before; the next one has this index.
    """

    attempts: int
    seconds: float
    frames: int


Event = WorkerEvent | Reconnecting | Reconnected
OnEvent = Callable[[Event], None]


def tell(on_event: OnEvent | None, event: Event) -> None:
    """Call back; what the callback raises is logged."""
    if on_event is None:
        return
    try:
        on_event(event)
    except Exception:
        logger.exception("on_event failed for %r", event)
