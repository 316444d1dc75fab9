"""What has arrived and was not read yet: frames, and where streams end. Bounded.

When full, `wait` holds the filler back (and with it, through TCP, the worker); `newest` drops the oldest
frame and counts it. Ends of streams are never dropped.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Literal

from .errors import FramewireError
from .frames import Frame

MOST_ENDS = 20
"""Of streams, unread. Each stream that was asked for has one; some servers say it twice."""
Policy = Literal["wait", "newest"]


class Inbox:
    """Frames in order, for one filler and one reader.

    Args:
        size: frames held at most.
        policy: what happens to one more.
    """

    def __init__(self, size: int, policy: Policy) -> None:
        if size < 1:
            raise ValueError(f"a buffer of {size} frames; at least 1")
        if policy not in ("wait", "newest"):
            raise ValueError(f'buffer {policy!r}; "wait" or "newest"')
        self.dropped = 0
        self._size = size
        self._drops = policy == "newest"
        # None is the end of a stream, an error is the end of one that failed.
        self._items: deque[Frame | FramewireError | None] = deque()
        self._frames = 0
        self._failure: FramewireError | None = None
        self._closed = False
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    @property
    def is_empty(self) -> bool:
        return not self._items

    @property
    def failure(self) -> FramewireError | None:
        """What ended the connection, if something did."""
        return self._failure

    async def put(self, frame: Frame) -> None:
        """Add a frame; with `wait`, once there is room for it."""
        if self._drops:
            if self._frames >= self._size:
                self._drop_oldest()
        else:
            while self._frames >= self._size:
                self._taken.clear()
                await self._taken.wait()
        self._items.append(frame)
        self._frames += 1
        self._arrived.set()

    def end_stream(self, error: FramewireError | None = None) -> bool:
        """The stream ends here; the connection goes on.

        Returns:
            False where so many ends are unread that this one is not taken.
        """
        if len(self._items) - self._frames >= MOST_ENDS:
            return False
        self._items.append(error)
        self._arrived.set()
        return True

    def fail(self, error: FramewireError) -> None:
        """The connection ended: every read after the frames that came before raises `error`."""
        self._failure = self._failure or error
        self._arrived.set()

    def close(self) -> None:
        """Nobody reads any more."""
        self._closed = True
        self.clear()
        self._arrived.set()

    def clear(self) -> int:
        """Forget what was not read; returns how many frames that were."""
        forgotten = self._frames
        self._items.clear()
        self._frames = 0
        self._taken.set()
        return forgotten

    async def get(self) -> Frame | None:
        """The next frame; None where a stream ends.

        Raises:
            FramewireError: the stream or the connection failed here.
        """
        while not self._items:
            if self._closed:
                return None
            if self._failure is not None:
                raise self._failure
            self._arrived.clear()
            await self._arrived.wait()
        item = self._items.popleft()
        if isinstance(item, Frame):
            self._frames -= 1
            self._taken.set()
        elif item is not None:
            raise item
        return item

    def _drop_oldest(self) -> None:
        for position, item in enumerate(self._items):
            if isinstance(item, Frame):
                del self._items[position]
                self._frames -= 1
                self.dropped += 1
                return
