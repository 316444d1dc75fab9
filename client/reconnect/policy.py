"""Whether, when and where to connect again. The policy only: knows no wire and sleeps nowhere."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from framewire.client.errors import (
    AddressError,
    AuthError,
    CapacityError,
    ConnectError,
    ConnectionLost,
    FramewireError,
    SessionTimeoutError,
    StallError,
    WorkerFailedError,
    WorkerStartError,
)
from framewire.client.events import Reconnecting

_WHAT_WE_SENT = frozenset({1003, 1007, 1009, 1010})
"""Close codes that say that a message of ours could not be taken: it will not be next time."""
_POLICY_VIOLATION = 1008
_NEVER = (AddressError, AuthError, WorkerStartError)
_MAYBE = (CapacityError, ConnectError, SessionTimeoutError, StallError, WorkerFailedError)


@dataclass(frozen=True, slots=True)
class Redirect:
    """Where the next connections go; what is None stays as it is.

    Attributes:
        url: another URL or app id. What a key or token was found in the environment is looked
            up anew, so that fal's key is not offered to another host.
        headers: sent with the WebSocket request instead of those before.
    """

    url: str | None = None
    headers: Mapping[str, str] | None = field(default=None, repr=False)


Answer = Redirect | bool | None
Hook = Callable[[Reconnecting], Answer | Awaitable[Answer]]


@dataclass(frozen=True, slots=True)
class Reconnect:
    """How hard to try.

    Attributes:
        attempts: in a row, without a frame between them.
        first_delay: seconds before the first attempt, at most; twice as many before each next.
        max_delay: the most seconds between attempts, unless the server asks for more.
        give_up_after: seconds from the loss of the connection to the next frame, all attempts
            and cold starts included.
        on_reconnecting: asked before each attempt, sync or async: None or True goes on,
            a `Redirect` goes on elsewhere, False gives up, and so does what it raises.
    """

    attempts: int = 10
    first_delay: float = 0.5
    max_delay: float = 15.0
    give_up_after: float = 300.0
    on_reconnecting: Hook | None = None

    def __post_init__(self) -> None:
        if self.attempts < 1:
            raise ValueError(f"{self.attempts} attempts; at least 1, or reconnect=False")
        if not 0 < self.first_delay <= self.max_delay:
            raise ValueError(
                f"delays of {self.first_delay:g} to {self.max_delay:g} s; "
                "more than 0, and the first one the smallest"
            )
        if not self.give_up_after > 0:
            raise ValueError(f"give_up_after {self.give_up_after:g} s; more than 0")

    def delay(self, attempt: int, retry_after: float | None = None) -> float:
        """Seconds before `attempt` (from 1): half to all of the doubled delay, by chance, so
        that the viewers of a worker that restarts do not all come back at once.

        Args:
            retry_after: seconds that the server asked for; none come sooner, even beyond `max_delay`.
        """
        doubled = self.first_delay * 2.0 ** min(attempt - 1, 30)
        own = min(self.max_delay, doubled) * random.uniform(0.5, 1.0)
        if retry_after is None:
            return own
        return max(own, retry_after + self.first_delay * random.random())


def policy_of(reconnect: bool | Reconnect) -> Reconnect | None:
    """The policy that an argument means; None for no reconnecting."""
    if isinstance(reconnect, Reconnect):
        return reconnect
    return Reconnect() if reconnect else None


def is_worth_retrying(error: FramewireError, *, had_frames: bool) -> bool:
    """Whether another connection may go better than the one that ended with `error`.

    Args:
        had_frames: the connection had delivered frames. Without any, a close with 1008 means
            that what was asked for will be refused again.
    """
    if isinstance(error, _NEVER):
        return False
    if isinstance(error, ConnectionLost):
        if error.close_code == _POLICY_VIOLATION:
            return had_frames
        return error.close_code not in _WHAT_WE_SENT
    return isinstance(error, _MAYBE)
