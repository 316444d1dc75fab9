"""A live sink: frames in as they come, out at a steady clock. Its own thread; holds up nobody.

Frames of a block come at once and are shown at the clock's rate: what waits is the jitter buffer.
Where it is empty the last frame is repeated; what would be shown later than the latency allows is
left out. A sink that fails or stands still is opened again for as long as the stream lasts.
"""

from __future__ import annotations

import contextlib
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.frames import Frame

from .outlet import Outlet
from .target import Target

logger = logging.getLogger(__name__)

LATENCY = 2.0
_MOST_BYTES = 32_000_000
_FIRST_PAUSE, _LONGEST_PAUSE = 0.5, 5.0
_LATE = 1.0
"""Seconds behind its clock, after which the ticks that were missed are left out."""


class Sink:
    """Shows frames at `target`. Nothing that it is told blocks, but `close`.

    Args:
        fps: frames a second of its clock.
        latency: the most seconds from when a frame came to when it is shown.

    Attributes:
        shown: frames that were sent, each counted once.
        repeated: ticks at which the last frame was sent again.
        left_out: frames that came and were not sent: too late, or while it was away.
        openings: how often it was opened.
        on_said: told, in another thread, that it went away or came back.
    """

    def __init__(self, target: Target, *, fps: float, latency: float = LATENCY) -> None:
        self.target = target
        self.shown = self.repeated = self.left_out = self.openings = 0
        self.on_said: Callable[[str], None] | None = None
        self._fps = fps
        self._most = latency
        self._waiting: deque[tuple[float, Frame]] = deque()
        self._bytes = 0
        self._came_at: dict[int, float] = {}  # by tick, of frames on their way to the encoder
        self._latency: float | None = None
        self._changed = threading.Condition()
        self._is_closed = self._is_stopped = False
        self._failure: str | None = None
        self._thread: threading.Thread | None = None

    @property
    def latency(self) -> float | None:
        """Seconds from when the newest frame that was sent had come; None before the first."""
        return self._latency

    @property
    def is_away(self) -> bool:
        """Whether it has failed and is not open again yet."""
        return self._failure is not None

    def show(self, frame: Frame) -> None:
        """Take a frame that came."""
        with self._changed:
            if self._is_closed:
                return
            self._waiting.append((time.monotonic(), frame))
            self._bytes += len(frame.jpeg)
            while self._bytes > _MOST_BYTES and len(self._waiting) > 1:
                self._leave_out()
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(
                target=self._run, name=f"send {self.target.kind}", daemon=True
            )
            self._thread.start()

    def close(self, *, at_once: bool = False) -> None:
        """Show what waits, then finish; within the latency and a few seconds. Blocks.

        Args:
            at_once: leave out what waits.
        """
        with self._changed:
            self._is_closed = True
            self._is_stopped = self._is_stopped or at_once
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(self._most + 5.0)
            with self._changed:
                self._is_stopped = True
                self._changed.notify_all()

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        return {
            "name": self.target.shown,
            "frames": self.shown,
            "repeated": self.repeated,
            "left_out": self.left_out,
            "openings": self.openings,
            "latency_seconds": None if self._latency is None else round(self._latency, 3),
            "error": self._failure,
        }

    def _run(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            sent = self.shown
            try:
                self._play()
                return
            except (SaveError, OSError) as error:
                reason = error.reason if isinstance(error, SaveError) else type(error).__name__
            except Exception as error:  # noqa: BLE001 (its text may name the URL)
                logger.error("sending to %s failed: %s", self.target.shown, type(error).__name__)
                reason = type(error).__name__
            if self.shown > sent:
                pause = _FIRST_PAUSE
            if self._failure is None:
                self._say(f"{self.target.shown}: {reason}; it is opened again")
            self._failure = reason
            with self._changed:
                if self._changed.wait_for(lambda: self._is_closed, pause):
                    self.left_out += len(self._waiting)
                    return
                self._drop_late(time.monotonic())
            pause = min(2 * pause, _LONGEST_PAUSE)

    def _play(self) -> None:
        """One opening, to the end."""
        self._came_at.clear()
        target = self.target.again() if self.openings else self.target.cleared()
        outlet = Outlet(target, self._fps, self._was_shown)
        self.openings += 1
        try:
            self._keep_time(outlet)
            if not self._is_stopped:
                outlet.close()
        finally:
            outlet.stop()

    def _keep_time(self, outlet: Outlet) -> None:
        """A picture at each tick, until there is nothing more to show."""
        began, tick = self._first_tick(), 0
        while True:
            due = began + tick / self._fps
            with self._changed:
                self._changed.wait_for(lambda: self._is_stopped, max(0.0, due - time.monotonic()))
                if self._is_stopped or (self._is_closed and not self._waiting):
                    self.left_out += len(self._waiting)
                    return
                now = time.monotonic()
                if now - due > _LATE:
                    tick = math.ceil((now - began) * self._fps)
                self._drop_late(now)
                came_at, frame = self._waiting.popleft() if self._waiting else (now, None)
                self._bytes -= len(frame.jpeg) if frame else 0
            if frame is not None:
                self._came_at[tick] = came_at
            elif tick == 0:  # all that waited was too late
                began = self._first_tick()
                continue
            outlet.show(tick, None if frame is None else frame.jpeg)
            tick += 1

    def _first_tick(self) -> float:
        """When there is something to show, or nothing more comes."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._is_closed)
        return time.monotonic()

    def _was_shown(self, tick: int) -> None:
        came_at = self._came_at.pop(tick, None)
        if came_at is None:
            self.repeated += 1
            return
        self.shown += 1
        self._latency = time.monotonic() - came_at
        if self._failure is not None:
            self._failure = None
            self._say(f"{self.target.shown} is back")

    def _drop_late(self, now: float) -> None:
        while self._waiting and now - self._waiting[0][0] > self._most:
            self._leave_out()

    def _leave_out(self) -> None:
        _, frame = self._waiting.popleft()
        self._bytes -= len(frame.jpeg)
        self.left_out += 1

    def _say(self, text: str) -> None:
        logger.info("%s", text)
        if self.on_said is not None and not self._is_closed:
            with contextlib.suppress(RuntimeError):  # an event loop that has just ended
                self.on_said(text)
