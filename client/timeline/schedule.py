"""The changes of one stream that wait for their time: what to send when, and what is held already.

Knows no socket: it is told of frames and events and hands out what to send. A worker that tells how
many frames its blocks have is sent the changes with the params, and holds them from the start, so
that none comes late. An older one of ours holds them by `at_block`, once block events show its shape.
Any other server is sent a change when the frames before its block have arrived, and changes as soon
as it can.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from framewire.client.events import Event
from framewire.protocol import BlockDone, Started
from framewire.protocol.limits import MAX_ELEMENTS, MAX_HELD, MAX_MESSAGE_BYTES, MAX_PLANNED
from framewire.protocol.steering import BlockShape

from .moves import Cue

_OF_THE_PARAMS = 200  # elements, at most
Exactness = Literal["held from the start", "held by block", "by counting frames"]


@dataclass(frozen=True, slots=True)
class Due:
    """A change whose time has come to be sent.

    Attributes:
        when: what the worker is to hold it for, as keys of its map; empty where it cannot.
        block: that it lands in, as far as the stream's shape is known.
    """

    cue: Cue
    when: dict[str, int]
    block: int


class Schedule:
    """Changes in order.

    Args:
        cues: by their places.
        shape: frames a block, where that is known already.

    Attributes:
        changed: set when something may have come due.
        shape: frames a block; the hosted model's until the stream shows another one.
    """

    def __init__(self, cues: Sequence[Cue], shape: BlockShape | None = None) -> None:
        self.changed = asyncio.Event()
        self.shape = shape or BlockShape()
        self._waiting = sorted(cues, key=self._first_frame)
        self._planned = _as_many_as_fit(self._waiting)
        self._frames = 0
        self._block = 0  # under way, as far as frames tell
        self._held: list[int] = []  # the blocks of what the worker holds
        self.exactness: Exactness = "by counting frames"
        self._is_shape_known = shape is not None
        if self._waiting:
            self.changed.set()

    @property
    def planned(self) -> list[dict[str, Any]]:
        """Maps to send with the params."""
        return [{**cue.values, **cue.when} for cue in self._planned]

    @property
    def waiting(self) -> list[Cue]:
        """What has not been handed out."""
        return list(self._waiting)

    @property
    def is_known(self) -> bool:
        """Whether the stream's shape is: by what was told, or since frames come without a word."""
        return self._is_shape_known or (self._frames > 0 and self.exactness == "by counting frames")

    def saw_frame(self, index: int) -> None:
        """Frame `index` of the stream has arrived."""
        self._frames = index + 1
        self._block = self.shape.block_of(index)
        self.changed.set()

    def saw_event(self, event: Event) -> None:
        """An event has arrived."""
        if isinstance(event, Started) and self.exactness == "by counting frames":
            self.exactness = "held by block"
            if event.first_block_frames is not None and event.block_frames:
                self.exactness = "held from the start"
                self.shape = BlockShape(event.first_block_frames, event.block_frames)
                self._is_shape_known = True
        elif isinstance(event, BlockDone) and event.block == 1 and not self._is_shape_known:
            self.shape = BlockShape(event.index, max(1, event.frames))
            self._is_shape_known = True
        self.changed.set()

    def held(self) -> list[Due]:
        """What came with the params and is held, once that is known; it waits no longer."""
        if self.exactness != "held from the start":
            return []
        found = [Due(cue, cue.when, self._block_of(cue)) for cue in self._planned]
        self._waiting = self._waiting[len(found) :]
        self._held += [due.block for due in found]
        self._planned = []
        return found

    def due(self) -> list[Due]:
        """What is to be sent now, in order; it waits no longer."""
        ready: list[Due] = []
        self._waiting.sort(key=self._first_frame)
        self._held = [block for block in self._held if block > self._block]
        while self._waiting and (found := self._due(self._waiting[0])) is not None:
            ready.append(found)
            self._waiting.pop(0)
            self._held += [found.block] if found.when else []
        return ready

    def _due(self, cue: Cue) -> Due | None:
        block = self._block_of(cue)
        if self.exactness == "by counting frames":
            came = self._frames and self._frames >= self._first_frame(cue)
            return Due(cue, {}, block) if came else None
        if len(self._held) >= MAX_HELD:
            return None
        if self.exactness == "held from the start":
            return Due(cue, cue.when, block)
        if cue.unit == "b" or self._is_shape_known:
            return Due(cue, {"at_block": block}, block)
        return None

    def _first_frame(self, cue: Cue) -> int:
        """Of the block that it lands in."""
        return self.shape.frames(self._block_of(cue))

    def _block_of(self, cue: Cue) -> int:
        return cue.at if cue.unit == "b" else self.shape.block_of(cue.at)


def _as_many_as_fit(cues: Sequence[Cue]) -> list[Cue]:
    """The first of them that go into one message with the params."""
    found: list[Cue] = []
    elements = size = 0
    for cue in cues[:MAX_PLANNED]:
        elements += _elements(cue.values) + 2
        size += len(str(cue.values)) * 4  # bytes, at most
        if elements > MAX_ELEMENTS - _OF_THE_PARAMS or size > MAX_MESSAGE_BYTES // 4:
            break
        found.append(cue)
    return found


def _elements(value: Any) -> int:
    """As the wire's limit counts them."""
    if isinstance(value, Mapping):
        return 1 + sum(1 + _elements(each) for each in value.values())
    if isinstance(value, list | tuple):
        return 1 + sum(map(_elements, value))
    return 1
