"""What waits to be sent to one viewer: frames by the block, texts in between, in order.

Holds two blocks, and one more may be in the making. A session without room skips its turn on the
lane, so a slow reader costs no memory and loses no frame; a reset drops the frames that became
stale.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

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
    """One producer side (a session's tasks), one consumer (its writer)."""

    def __init__(self) -> None:
        self._items: deque[Outgoing] = deque()
        self._blocks = 0
        self._expected = 0
        self._changed = asyncio.Event()

    def put(self, data: bytes | str, *, optional: bool = False) -> None:
        """Append a text. An optional one (an event) is dropped when too many wait unread."""
        if not optional or len(self._items) < TEXTS:
            self._items.append(Outgoing(data))
            self._changed.set()

    def expect_block(self) -> None:
        """A block is being made; `put_block` delivers it."""
        self._expected += 1

    def put_block(self, frames: Sequence[bytes | str], ready_at: float | None = None) -> None:
        """Append the frames of an expected block, which was made at `ready_at`."""
        last = len(frames) - 1
        self._items.extend(
            Outgoing(data, is_frame=True, ends_block=index == last, ready_at=ready_at)
            for index, data in enumerate(frames)
        )
        self._blocks += bool(frames)
        self._expected -= 1
        self._changed.set()

    def drop_frames(self) -> None:
        """Drop every frame that waits and expect none; texts stay."""
        self._items = deque(item for item in self._items if not item.is_frame)
        self._blocks = self._expected = 0
        self._changed.set()

    def expect_nothing(self) -> None:
        """What was being made will not come."""
        self._expected = 0
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
            self._changed.set()

    async def room(self) -> None:
        """Wait until one block more may be made."""
        while self._blocks + self._expected > BLOCKS:
            await self._change()

    async def empty(self) -> None:
        """Wait until everything has been sent and nothing is being made."""
        while self._items or self._expected:
            await self._change()

    async def _change(self) -> None:
        self._changed.clear()
        await self._changed.wait()
