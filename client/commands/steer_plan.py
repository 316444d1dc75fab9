"""When to steer: the `WHEN=PROMPT` grammar of the command line, and what is due by now.

Knows no socket: it is told of frames and events and hands out what to send. A worker that sends
events is ours and honours `at_block`, so steers land exactly; with any other server a steer is
sent when the frames before it have arrived, and lands as soon as that server can.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass
from typing import Literal

from framewire.client.events import Event
from framewire.protocol import BlockDone, Started

Unit = Literal["s", "f", "b"]

_WHEN = re.compile(r"(\d+(?:\.\d+)?)([sfb])")
_FIRST, _LATER = 6, 12  # frames a block of the hosted model, for servers that do not tell


@dataclass(frozen=True, slots=True)
class PlannedSteer:
    """One `WHEN=PROMPT`: seconds of the video, a frame's index, or a block's."""

    when: float
    unit: Unit
    prompt: str

    def __str__(self) -> str:
        return f"{self.when:g}{self.unit}"


@dataclass(frozen=True, slots=True)
class DueSteer:
    """Send this now; held by the worker until `at_block` where that is set."""

    steer: PlannedSteer
    at_block: int | None


def parse_steer(text: str) -> PlannedSteer:
    """`2.5s=PROMPT` (into the video), `30f=PROMPT` (from frame 30), `4b=PROMPT` (from block 4).

    Raises:
        ValueError: it is none of these.
    """
    when, equals, prompt = text.partition("=")
    match = _WHEN.fullmatch(when.strip().lower())
    if not equals or not match or not prompt.strip():
        raise ValueError(f"{text!r}: expected 2.5s=PROMPT, 30f=PROMPT or 4b=PROMPT")
    number, unit = float(match[1]), match[2]
    if unit != "s" and not number.is_integer():
        raise ValueError(f"{text!r}: frames and blocks are whole numbers")
    return PlannedSteer(number, unit, prompt)  # type: ignore[arg-type]


class SteerPlan:
    """Steers that wait for their time.

    Args:
        steers: what was asked for, in any order.
        fps: frames a second of the video, by which seconds become frames.
    """

    def __init__(self, steers: list[PlannedSteer], fps: float) -> None:
        self.changed = asyncio.Event()
        self._waiting = list(steers)
        self._fps = fps
        self._frames = 0
        self._holds = False
        self._layout: tuple[int, int] | None = None

    @property
    def is_empty(self) -> bool:
        return not self._waiting

    def waiting(self) -> list[str]:
        """When the steers are due that have not been handed out."""
        return [str(steer) for steer in self._waiting]

    def saw_frame(self, index: int) -> None:
        """Frame `index` has arrived."""
        self._frames = index + 1
        if self._waiting:
            self.changed.set()

    def saw_event(self, event: Event) -> None:
        """An event has arrived."""
        if isinstance(event, Started):
            self._holds = True
        elif isinstance(event, BlockDone) and event.block == 1 and self._layout is None:
            self._layout = (event.index, event.frames)
        self.changed.set()

    def due(self) -> list[DueSteer]:
        """What to send now, in order; it waits no longer."""
        ready: list[DueSteer] = []
        for steer in sorted(self._waiting, key=self._first_frame):
            found = self._due(steer)
            if found is None:
                break
            ready.append(found)
            self._waiting.remove(steer)
        return ready

    def _due(self, steer: PlannedSteer) -> DueSteer | None:
        if self._holds and steer.unit == "b":
            return DueSteer(steer, int(steer.when))
        frame = self._first_frame(steer)
        if self._holds and self._layout is not None:
            return DueSteer(steer, _block_from(frame, *self._layout))
        return DueSteer(steer, None) if self._frames >= frame else None

    def _first_frame(self, steer: PlannedSteer) -> int:
        if steer.unit == "s":
            return round(steer.when * self._fps)
        if steer.unit == "f":
            return int(steer.when)
        first, later = self._layout or (_FIRST, _LATER)
        return first + later * (int(steer.when) - 1) if steer.when else 0


def _block_from(frame: int, first: int, later: int) -> int:
    """The first block that begins at `frame` or after it."""
    return 0 if frame <= 0 else 1 + max(0, -(-(frame - first) // later))
