"""What waits to be sent to one viewer: frames by the block, texts in between, in order.

Holds two blocks, and one more may be in the making; of a paced stream only what its pace asks for.
A session without room skips its turn on the lane, so a slow reader costs no memory and loses no
frame; a reset drops the frames that became stale.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from framewire.protocol import Connection, Event, Frame, Message

from .pace import Pace

BLOCKS = 2
TEXTS = 256


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One encoded message.

    Attributes:
        ends_block: it is the last frame of a block.
        ready_at: when its block was made, in seconds of `time.perf_counter`; None where unknown.
    """

    data: bytes | str
    is_frame: bool = False
    ends_block: bool = False
    ready_at: float | None = None


class Outbox:
    """One producer side (a session's tasks), one consumer (its writer).

    Args:
        connection: encodes what is put in, in the order in which it is said.
        pace: says when a block is due.

    Attributes:
        events: whether the viewer asked for events; they are dropped otherwise.
    """

    def __init__(self, connection: Connection, pace: Pace, *, events: bool = False) -> None:
        self._connection = connection
        self._pace = pace
        self.events = events
        self._items: deque[Outgoing] = deque()
        self._blocks = self._frames = 0
        self._begun: deque[float] = deque()  # when each block in the making was, by perf_counter
        self._given = 0  # frames of the first of these, which came in parts
        self._changed = asyncio.Event()

    def say(self, message: Message) -> None:
        """Append a text. An event is dropped where none are wanted, or too many wait unread."""
        if isinstance(message, Event) and (not self.events or len(self._items) >= TEXTS):
            return
        self._items.append(Outgoing(self._connection.send(message)))
        self._changed.set()

    def expect_block(self) -> None:
        """A block is being made; `put_block` delivers it, whole or in parts."""
        self._begun.append(time.perf_counter())

    def put_block(
        self, frames: Sequence[Frame], ready_at: float | None = None, *, left: int = 0
    ) -> None:
        """Append the frames of an expected block, which were made at `ready_at`.

        Args:
            left: of its frames, how many will come in further calls.
        """
        last = -1 if left else len(frames) - 1
        self._items.extend(
            Outgoing(
                self._connection.send(frame),
                is_frame=True,
                ends_block=index == last,
                ready_at=ready_at,
            )
            for index, frame in enumerate(frames)
        )
        self._frames += len(frames)
        self._given += len(frames)
        if not left:
            self._blocks += bool(frames)
            self._pace.saw_block(self._given, time.perf_counter() - self._begun.popleft())
            self._given = 0
        self._changed.set()

    def drop_frames(self) -> None:
        """Drop every frame that waits and expect none; texts stay."""
        self._items = deque(item for item in self._items if not item.is_frame)
        self._blocks = self._frames = self._given = 0
        self._begun.clear()
        self._changed.set()

    def expect_nothing(self) -> None:
        """What was being made will not come."""
        self._begun.clear()
        self._given = 0
        self._changed.set()

    async def head(self) -> Outgoing:
        """Wait for something to send; it waits on until `sent` is told of it."""
        while not self._items:
            await self._change()
        return self._items[0]

    def holds(self, item: Outgoing) -> bool:
        """Whether `item` is still the next to send."""
        return bool(self._items) and self._items[0] is item

    def sent(self, item: Outgoing) -> None:
        """`item` is on its way: make room."""
        if self.holds(item):
            self._items.popleft()
            self._blocks -= item.ends_block
            self._frames -= item.is_frame
            self._changed.set()

    async def room(self) -> None:
        """Wait until one block more may be made."""
        while self._is_full or not self._pace.is_due(self._frames - self._given, len(self._begun)):
            await self._change()

    async def empty(self) -> None:
        """Wait until everything has been sent and nothing is being made."""
        while self._items or self._begun:
            await self._change()

    @property
    def _is_full(self) -> bool:
        return self._blocks + len(self._begun) > BLOCKS

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
