"""How many bytes of pictures that came in may wait in a worker, encoded, and who may hold them.

Half is for streams that have a place, an even share each, so that none of them can starve another.
The other half is for all that have none yet: first come, first served. Knows no picture.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager

SESSION_BYTES = 64_000_000
"""That one stream may hold at most."""
PICTURES_BEFORE = 2
"""That a stream without a place may hold."""


class InputRoom:
    """One worker's.

    Args:
        limit: bytes in all.
        places: how many streams may have a place at once.
    """

    def __init__(self, limit: int, places: Callable[[], int]) -> None:
        self._half = limit // 2
        self._places = places
        self._held = 0
        self._waiting: set[asyncio.Event] = set()

    @property
    def share(self) -> int:
        """Bytes that a stream with a place may hold."""
        return min(SESSION_BYTES, self._half // max(1, self._places()))

    @property
    def held(self) -> int:
        """Bytes that streams without a place hold."""
        return self._held

    def has(self, size: int) -> bool:
        """Whether so many bytes more may be held without a place."""
        return self._held + size <= self._half

    def hold(self, size: int) -> None:
        """Hold them, until they are freed."""
        self._held += size

    def free(self, size: int) -> None:
        """They are held no more, or by a stream that has got its place."""
        self._held -= size
        if size:
            for event in self._waiting:
                event.set()

    @contextmanager
    def waited_for(self, event: asyncio.Event) -> Iterator[None]:
        """In its block, `event` is set whenever some bytes are freed."""
        self._waiting.add(event)
        try:
            yield
        finally:
            self._waiting.discard(event)
