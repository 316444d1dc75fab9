"""What a stream came to, as it runs and at its end: one live line, a summary, one JSON object.

Counts only; knows neither session nor file format.
"""

from __future__ import annotations

import contextlib
import io
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, TextIO, cast

from framewire.client.errors import CapacityError, SaveError
from framewire.client.events import Event, Reconnected, Reconnecting
from framewire.client.frames import Frame
from framewire.client.timeline.shown import Change
from framewire.protocol import BlockDone, Queued, Started, Warned

from .terminal import columns, fitted, is_live, printable

_REDRAW = 0.1
_WINDOW = 2.0  # seconds over which the live rate is measured
_SHORTEST = 0.25  # seconds; within less a rate is that of one block's frames, sent in one go
_PROMPT_CHARS = 40
_MOST_WARNINGS, _WARNING_CHARS = 100, 2000  # of what a server may say


@dataclass
class Tally:
    """Everything counted about one stream.

    Attributes:
        prompts: in the order in which they take effect.
        changes: that were sent, or that the worker holds.
        latency: gives the seconds that what is shown live is behind, where that is known.
    """

    prompts: list[str]
    clock: Callable[[], float] = time.monotonic
    frames: int = 0
    bytes: int = 0
    blocks: int | None = None
    position: int | None = None
    started: Started | None = None
    changes: list[Change] = field(default_factory=list)
    unsent: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    reconnects: list[dict[str, Any]] = field(default_factory=list)
    first_after: float | None = None
    last_after: float = 0.0
    latency: Callable[[], float | None] = lambda: None

    def __post_init__(self) -> None:
        self._recent: deque[float] = deque()
        self._causes: list[str] = []
        self.begin()

    def begin(self) -> None:
        """The stream is asked for now; times count from here."""
        self._began = self.clock()

    def saw_frame(self, frame: Frame) -> None:
        now = self.clock() - self._began
        if self.first_after is None:
            self.first_after = now
        self.last_after = now
        self.frames += 1
        self.bytes += len(frame.jpeg)
        self._recent.append(now)
        while self._recent[0] < now - _WINDOW:
            self._recent.popleft()

    def saw_event(self, event: Event) -> None:
        match event:
            case Queued():
                self.position = event.position
            case Started():
                self.started, self.position = event, None
            case BlockDone():
                self.blocks = event.block + 1
            case Warned(request_id=None):  # of input the report tells by itself
                if len(self.warnings) < _MOST_WARNINGS:
                    self.warnings.append(event.reason[:_WARNING_CHARS])
            case Reconnecting():
                self._causes.append(event.cause.reason)
            case Reconnected():
                self.reconnects.append(
                    {
                        "after_frames": event.frames,
                        "attempts": event.attempts,
                        "seconds": round(event.seconds, 3),
                        "causes": self._causes,
                    }
                )
                self._causes = []

    def saw_change(self, change: Change) -> None:
        self.changes.append(change)
        if change.text is not None:
            self.prompts.append(change.text)

    @property
    def fps(self) -> float:
        """Frames a second from the first to the last one; 0 where it cannot be told yet."""
        seconds = self.last_after - (self.first_after or 0.0)
        return (self.frames - 1) / seconds if self.frames > 1 and seconds >= _SHORTEST else 0.0

    @property
    def fps_now(self) -> float:
        """Frames a second in the last two seconds; 0 where it cannot be told yet."""
        seconds = min(_WINDOW, self.last_after - (self.first_after or 0.0))
        return len(self._recent) / seconds if seconds >= _SHORTEST else 0.0

    def as_dict(self) -> dict[str, Any]:
        """For `--json`."""
        started = self.started
        return {
            "frames": self.frames,
            "blocks": self.blocks,
            "bytes": self.bytes,
            "seconds": round(self.last_after, 3),
            "first_frame_seconds": None if self.first_after is None else round(self.first_after, 3),
            "fps": round(self.fps, 2) or None,
            "seed": started.seed if started else None,
            "width": started.width if started else None,
            "height": started.height if started else None,
            "backend": started.backend if started else None,
            "prompts": self.prompts,
            "steers": [
                {
                    "when": one.when,
                    "prompt": one.text,
                    "sent_after_frame": one.after_frames,
                    "at_block": one.at_block,
                    "block": one.block,
                    "seconds": None if one.seconds is None else round(one.seconds, 3),
                }
                for one in self.changes
            ],
            "unsent_steers": self.unsent,
            "warnings": self.warnings,
            "reconnects": self.reconnects,
        }


class ProgressLine:
    """One row that is drawn over itself, at most ten times a second; nothing off a terminal.

    What is said stays, above it, on a terminal or not. A stream that is gone (the terminal was
    closed) is written to no more.

    Attributes:
        is_drawn: whether the row is; while somebody types into the terminal he would not see what.
    """

    def __init__(self, tally: Tally, stream: TextIO) -> None:
        self._tally = tally
        self._stream = stream
        self.is_drawn = is_live(stream)
        self._drawn_at = -_REDRAW
        self._said: list[SaveError] = []
        self._prompt = ""
        self._elsewhere: Callable[[], None] | None = None

    def draw(self, prompt: str) -> None:
        now = time.monotonic()
        self._prompt = prompt
        if not self.is_drawn or now - self._drawn_at < _REDRAW:
            return
        self._drawn_at = now
        if self._elsewhere is not None:
            self._elsewhere()
        else:
            self._write(f"\r\x1b[2K{self.text()}")

    def text(self) -> str:
        """What stands in the row, in the width that the terminal has now."""
        # The last column stays free: a cursor behind it is already in the next row.
        room = columns(self._stream) - 1
        return fitted(progress_text(self._tally, self._prompt), room, self._stream.encoding)

    @contextlib.contextmanager
    def kept_by(self, redraw: Callable[[], None], stream: io.TextIOBase) -> Iterator[None]:
        """Meanwhile another one draws the row where it is, and `stream` takes what is said."""
        self.clear()
        before, self._elsewhere = self._stream, redraw
        self._stream = cast(TextIO, stream)
        try:
            yield
        finally:
            self._stream, self._elsewhere = before, None

    def clear(self) -> None:
        if self.is_drawn and self._elsewhere is None:
            self._write("\r\x1b[2K")

    def say(self, text: str) -> None:
        self.note(f"framewire: {text}")

    def note(self, text: str) -> None:
        """The same for what is not the command's own word."""
        self.clear()
        self._write(f"{printable(text)}\n")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:
            self.is_drawn = False

    def say_failures(self, failures: Sequence[SaveError]) -> None:
        """Each of them once."""
        for failure in failures:
            if failure not in self._said:
                self._said.append(failure)
                self.say(f"{failure.reason}; it ends there, the others go on")


def progress_text(tally: Tally, prompt: str) -> str:
    """Frames, rate, megabytes and the prompt that is on screen."""
    if tally.position is not None:
        return f"waiting for a place, number {tally.position} in line"
    if tally.frames == 0:
        return "waiting for the first frame"
    shown = prompt if len(prompt) <= _PROMPT_CHARS else prompt[: _PROMPT_CHARS - 1] + "…"
    speed = f"{tally.fps_now:.1f} fps  " if tally.fps_now else ""
    latency = tally.latency()
    late = "" if latency is None else f"{latency:.2f} s behind  "
    return f"{tally.frames} frames  {speed}{tally.bytes / 1e6:.1f} MB  {late}“{shown}”"


def connection_text(event: Reconnecting | Reconnected) -> str:
    """What has become of the connection, in one line."""
    if isinstance(event, Reconnected):
        again = "attempt" if event.attempts == 1 else "attempts"
        on = f"; going on from frame {event.frames}" if event.frames else ""
        return f"connected again after {event.seconds:.1f} s, {event.attempts} {again}{on}"
    if isinstance(event.cause, CapacityError):
        what = f"the server is full: {event.cause.reason}"
    else:
        what = f"connection lost after {event.frames} frames: {event.cause.reason}"
    return f"{what}; attempt {event.attempt} to reconnect in {event.delay:.1f} s"
