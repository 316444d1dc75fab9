"""When who was turned away may come back, in seconds: the same on a socket and over HTTP."""

from __future__ import annotations

from framewire.protocol import CloseCode, ErrorCode

FULL_SECONDS = 5
"""Places come free as viewers leave, which nobody can foresee."""
DRAIN_SECONDS = 1
"""Another worker has room at once; a balancer takes a second to see that this one has gone."""


def retry_after(code: str, close_code: int) -> float | None:
    """Seconds after which to connect again; None where waiting would not help."""
    if close_code == CloseCode.RESTART:
        return DRAIN_SECONDS
    return FULL_SECONDS if code == ErrorCode.AT_CAPACITY else None
