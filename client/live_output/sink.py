"""A live sink: frames in as they come, out at a steady clock. Its own thread; holds up nobody.

Frames of a block come at once and are shown at the clock's rate: what waits is the jitter buffer.
Where it is empty the last frame is repeated; what would be shown later than the latency allows is
left out. The sound of a picture leaves with the frame made from it. A sink that fails or stands
still is opened again for as long as the stream lasts.
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
from framewire.client.sound import Sounding

from .outlet import Outlet
from .pipe import PipeOutlet, ReaderGone
from .target import KINDS, Target, target_of
from .tick_sound import TickSound

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
        sound: the source whose sound goes beside the frames by their `source_at`, if it was opened
            with it.

    Attributes:
        shown: frames that were sent, each counted once.
        repeated: ticks at which the last frame was sent again.
        left_out: frames that came and were not sent: too late, or while it was away.
        openings: how often it was opened.
        failure: why it has ended for good.
        on_said: told, in another thread, that it went away or came back.
    """

    def __init__(
        self,
        target: Target,
        *,
        fps: float,
        latency: float = LATENCY,
        sound: Sounding | None = None,
    ) -> None:
        self.target = target
        self.shown = self.repeated = self.left_out = self.openings = 0
        self.failure: SaveError | None = None
        self.on_said: Callable[[str], None] | None = None
        self._fps = fps
        self._most = latency
        self._waiting: deque[tuple[float, Frame]] = deque()
        self._bytes = 0
        self._newest: bytes | None = None  # of what waits no more: shown where it is opened again
        self._came_at: dict[int, float] = {}  # by tick, of frames on their way to the encoder
        self._latency: float | None = None
        self._sound: TickSound | None = None
        if sound is not None and target.kind != "pipe":
            self._sound = TickSound(sound, fps)
        self._changed = threading.Condition()
        self._is_closed = self._is_stopped = False
        self._failure: str | None = None
        self._thread: threading.Thread | None = None
        self._outlet: Outlet | PipeOutlet | None = None

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
            at_once: leave out what waits, and wait for nobody who does not take it.
        """
        with self._changed:
            self._is_closed = True
            self._is_stopped = self._is_stopped or at_once
            self._changed.notify_all()
            if at_once and self._outlet is not None:
                self._outlet.kill()
        if self._thread is not None:
            self._thread.join(self._most + 5.0)
            with self._changed:
                self._is_stopped = True
                self._changed.notify_all()
            if self._thread.is_alive() and self._outlet is not None:
                self._outlet.kill()
                self._thread.join(1.0)
        if self._sound is not None:
            self._sound.close()

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
        self._play_again_and_again()
        if self.openings:
            with contextlib.suppress(OSError):
                self.target.ended()

    def _play_again_and_again(self) -> None:
        pause = _FIRST_PAUSE
        while True:
            sent = self.shown
            try:
                self._play()
                return
            except ReaderGone as error:
                with self._changed:
                    self.failure, self._failure, self._is_closed = error, error.reason, True
                    self.left_out += len(self._waiting)
                return
            except (SaveError, OSError) as error:
                reason = error.reason if isinstance(error, SaveError) else type(error).__name__
            except Exception as error:  # noqa: BLE001 (its text may name the URL)
                logger.error("sending to %s failed: %s", self.target.shown, type(error).__name__)
                reason = type(error).__name__
            if self._is_stopped:  # by which it ended
                self.left_out += len(self._waiting)
                return
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
        outlet: Outlet | PipeOutlet
        if target.kind == "pipe":
            outlet = PipeOutlet(target, self._fps, self._was_shown, self._say)
        else:
            has_sound = self._sound is not None
            outlet = Outlet(target, self._fps, self._was_shown, has_sound=has_sound)
        self.openings += 1
        with self._changed:
            self._outlet = outlet
        try:
            self._keep_time(outlet)
            if not self._is_stopped:
                outlet.close()
        finally:
            outlet.stop()

    def _keep_time(self, outlet: Outlet | PipeOutlet) -> None:
        """A picture at each tick, until there is nothing more to show."""
        began, tick, has_begun = self._first_tick(), 0, False
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
                jpeg, frame = None if has_begun else self._newest, None
                if self._waiting:
                    self._came_at[tick], frame = self._waiting.popleft()
                    self._bytes -= len(frame.jpeg)
                    jpeg = self._newest = frame.jpeg
            outlet.show(tick, jpeg, self._sound.beside(tick, frame) if self._sound else b"")
            has_begun = True
            tick += 1

    def _first_tick(self) -> float:
        """When there is something to show, if only what was shown before, or nothing more comes."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._newest or self._is_closed)
            first = self._waiting[0][1] if self._waiting else None
        if self._sound is not None:
            self._sound.wait(first)
        return time.monotonic()

    def _was_shown(self, tick: int) -> None:
        if self._failure is not None:
            self._failure = None
            self._say(f"{self.target.shown} is back")
        came_at = self._came_at.pop(tick, None)
        if came_at is None:
            self.repeated += 1
            return
        self.shown += 1
        self._latency = time.monotonic() - came_at

    def _drop_late(self, now: float) -> None:
        while self._waiting and now - self._waiting[0][0] > self._most:
            self._leave_out()

    def _leave_out(self) -> None:
        _, frame = self._waiting.popleft()
        self._newest = frame.jpeg
        self._bytes -= len(frame.jpeg)
        self.left_out += 1

    def _say(self, text: str) -> None:
        logger.info("%s", text)
        if self.on_said is not None and not self._is_closed:
            with contextlib.suppress(RuntimeError):  # an event loop that has just ended
                self.on_said(text)


def sink_for(
    name: str, *, fps: float, latency: float = LATENCY, sound: Sounding | None = None
) -> Sink:
    """The sink for what `--out` names: `rtmp://…`, `udp://host:port`, `DIR/index.m3u8`. See `Sink`.

    Raises:
        SaveError: it is no sink.
    """
    target = target_of(name)
    if target is None:
        raise SaveError(f"{name} is no live sink", hint=f"use {KINDS}")
    return Sink(target, fps=fps, latency=latency, sound=sound)
