"""The times of a source, on this machine's clock: when its pictures and sound are, and how many.

Numbers only, and waiting.
"""

from __future__ import annotations

import threading
import time

_JUMP = 10.0
"""Seconds between a source's clock and ours, beyond which its clock has been set anew."""
_BACK = 0.5  # seconds by which its clock has gone back then
_SETTLING = 0.002
"""Of a delay beyond the shortest one seen, what is taken for a clock that is slower than ours."""
_EARLY = 0.4
"""Of a step, by which a picture may come too early: some containers round to milliseconds."""
_BREAK = 1.0  # seconds
_STEADY = 0.03
"""Seconds by which the sound's times may differ from the pictures', so that its pieces lie end to end."""


class Clock:
    """Tells when something of a source is, by `time.monotonic()`.

    Args:
        paced: what is read comes faster than it plays, so pictures wait for their time.
    """

    def __init__(self, paced: bool) -> None:
        self._paced = paced
        self._offset: float | None = None
        self._sounds_offset: float | None = None
        self._last = 0.0

    def of_picture(self, at: float | None, stop: threading.Event) -> float:
        """When the picture that is read now is to be seen; where it is paced, waits until then."""
        now = time.monotonic()
        if at is None:
            return now
        has_gone_back, self._last = at < self._last - _BACK, at
        if self._offset is None or has_gone_back or abs(now - at - self._offset) > _JUMP:
            self._offset = now - at
        if not self._paced:
            late = now - at - self._offset
            self._offset += late if late < 0 else _SETTLING * late
            return now
        due = at + self._offset
        if due > now:
            stop.wait(due - now)
        return due

    def of_sound(self, at: float) -> float:
        """When a piece of sound is heard, or a picture seen beside it."""
        now = time.monotonic()
        if self._offset is None or abs(now - at - self._offset) > _JUMP:
            return now
        if self._sounds_offset is None or abs(self._offset - self._sounds_offset) > _STEADY:
            self._sounds_offset = self._offset
        return at + self._sounds_offset

    def restart(self) -> None:
        """Another opening, whose times begin anew."""
        self._offset = self._sounds_offset = None


class Rate:
    """Lets so many pictures a second through, evenly by their own times."""

    def __init__(self, fps: float) -> None:
        self._step = 1 / fps
        self._due: float | None = None

    def takes(self, at: float | None) -> bool:
        """Whether the picture of that time, in seconds, is one of them."""
        at = time.monotonic() if at is None else at
        if self._due is None or abs(at - self._due) > _BREAK + self._step:
            self._due = at
        if at < self._due - _EARLY * self._step:
            return False
        self._due = max(self._due + self._step, at)
        return True
