"""Who gets a place: at most so many streams at once, the others in a line of bounded length."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from .metrics import Metrics


class Full(Exception):
    """No place, and none to be had in time."""


class Admission:
    """Places for `limit` streams and a line for `queue` more, first come, first served."""

    def __init__(self, limit: int, queue: int, metrics: Metrics) -> None:
        self._limit = self._free = limit
        self._queue = queue
        self._line: deque[tuple[asyncio.Future[None], Callable[[int], None]]] = deque()
        self._metrics = metrics
        metrics.places.set(limit)

    @property
    def limit(self) -> int:
        """Places in all. More of them may be had later, fewer only before the first stream."""
        return self._limit

    @limit.setter
    def limit(self, limit: int) -> None:
        self._free += limit - self._limit
        self._limit = limit
        self._metrics.places.set(limit)

    @property
    def taken(self) -> int:
        """Streams that hold a place."""
        return self._limit - self._free

    @property
    def has_room(self) -> bool:
        """Whether one more stream would begin at once."""
        return self._free > 0 and not self._line

    @property
    def waiting(self) -> int:
        """Streams in line."""
        return len(self._line)

    @asynccontextmanager
    async def place(
        self, wait: float | None, on_position: Callable[[int], None]
    ) -> AsyncIterator[None]:
        """Hold a place for as long as the block runs.

        Args:
            wait: seconds to stand in line; None is for as long as it takes.
            on_position: told the position in the line (1: next) when it is taken and changes.

        Raises:
            Full: the line is full, or no place came free in time.
        """
        if self.has_room:
            self._free -= 1
        else:
            await self._stand_in_line(wait, on_position)
        self._metrics.sessions.inc()
        try:
            yield
        finally:
            self._metrics.sessions.dec()
            self._release()

    def refuse(self, reason: str) -> None:
        """Send everyone in line away."""
        for turn, _ in self._line:
            if not turn.done():
                turn.set_exception(Full(reason))

    async def _stand_in_line(self, wait: float | None, on_position: Callable[[int], None]) -> None:
        if len(self._line) >= self._queue:
            line = f" and the line is full ({len(self._line)} waiting)" if self._line else ""
            raise Full(f"every place is taken{line}: try again later")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        entry = (turn, on_position)
        self._line.append(entry)
        self._metrics.waiting.set(len(self._line))
        on_position(len(self._line))
        try:
            async with asyncio.timeout(wait):
                await turn
        except BaseException as error:
            if entry in self._line:
                self._line.remove(entry)
                self._moved()
            elif turn.done() and not turn.cancelled() and turn.exception() is None:
                self._release()  # it was handed over in the moment this caller gave up
            if isinstance(error, TimeoutError):
                raise Full(f"no place came free within {wait:g} s: try again later") from None
            raise

    def _release(self) -> None:
        """Hand the place to the first in line, or put it back."""
        while self._line:
            turn, _ = self._line.popleft()
            if not turn.done():
                turn.set_result(None)
                self._moved()
                return
        self._free += 1

    def _moved(self) -> None:
        self._metrics.waiting.set(len(self._line))
        for position, (_, on_position) in enumerate(self._line, start=1):
            on_position(position)
