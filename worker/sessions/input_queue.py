"""The pictures that came in for one stream and were not used yet.

`newest` (live): only the newest that the next block needs are kept, older ones are dropped.
`all` (a clip): nothing is dropped; the sender waits. Pictures are kept encoded; decoding one
costs more than carrying it.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

FIRST_WANTED = 12  # until the first block says how many pictures it takes


@dataclass(frozen=True, slots=True)
class Arrived:
    """One encoded input picture; `at` is the loop's time of its arrival, in seconds."""

    data: bytes
    at: float
    request_id: str | None = None


class InputGap(TimeoutError):
    """No picture came for longer than a stream may wait for one."""


class InputQueue:
    """A bounded queue of pictures between a session's reader and its stream.

    Args:
        policy: `newest` or `all`.
        patience: seconds without a picture after which live input repeats the newest one.
        limit: seconds without a picture after which waiting is given up.
        on_drop: told how many pictures were dropped unused.
    """

    def __init__(
        self,
        policy: Literal["newest", "all"],
        patience: float,
        limit: float,
        on_drop: Callable[[int], None],
    ) -> None:
        self._policy = policy
        self._patience = patience
        self._limit = limit
        self._on_drop = on_drop
        self._pictures: deque[Arrived] = deque()
        self._newest: Arrived | None = None
        self._wanted = FIRST_WANTED
        self._ended = False
        self._changed = asyncio.Event()
        self._last_at = asyncio.get_running_loop().time()

    async def put(self, picture: Arrived) -> None:
        """Add a picture. With `all` this waits while two blocks' worth wait already."""
        if self._policy == "all":
            while len(self._pictures) >= 2 * self._wanted and not self._ended:
                await self._wait(None)
        if self._ended:
            self._on_drop(1)
            return
        self._pictures.append(picture)
        self._last_at = picture.at
        if self._policy == "newest":
            self._trim()
        self._changed.set()

    def end(self) -> None:
        """No more pictures come; what waits is still used."""
        self._ended = True
        self._changed.set()

    def repeat(self, picture: Arrived | None) -> None:
        """The newest picture that was taken and is of use: it is the one to repeat, if any."""
        self._newest = picture

    async def first(self) -> bytes | None:
        """The picture that is taken next, left where it is; None after the end.

        Raises:
            InputGap: none came in time.
        """
        while not self._pictures and not self._ended:
            quiet = asyncio.get_running_loop().time() - self._last_at
            if quiet >= self._limit:
                raise InputGap(f"no picture came for {self._limit:g} s: send `image` maps")
            await self._wait(self._limit - quiet)
        return self._pictures[0].data if self._pictures else None

    async def take(self, count: int, block: int | None = None) -> list[Arrived]:
        """The next block's pictures, oldest first: `count` of them, or none after the end.

        Args:
            block: how many a block needs, where some of them were taken before.

        Raises:
            InputGap: nothing to make a block from came in time.
        """
        if count == 0:
            return []
        loop = asyncio.get_running_loop()
        began = loop.time()
        self._wanted = block or count
        if self._policy == "newest":
            self._trim()
        self._changed.set()
        while True:
            if len(self._pictures) >= count:
                return self._pop(count)
            if self._ended:
                return self._padded(count) if self._pictures else []
            quiet = loop.time() - self._last_at
            repeats = self._policy == "newest" and bool(self._pictures or self._newest)
            if repeats and quiet >= self._patience:
                return self._padded(count)
            # Time in which no picture was wanted is not the sender's fault.
            missed = min(quiet, loop.time() - began)
            if not repeats and missed >= self._limit:
                raise InputGap(f"no picture came for {self._limit:g} s: send `image` maps")
            await self._wait(self._patience - quiet if repeats else self._limit - missed)

    def _trim(self) -> None:
        surplus = max(0, len(self._pictures) - self._wanted)
        for _ in range(surplus):
            self._pictures.popleft()
        if surplus:
            self._on_drop(surplus)

    def _pop(self, count: int) -> list[Arrived]:
        taken = [self._pictures.popleft() for _ in range(count)]
        self._newest = taken[-1]
        self._changed.set()
        return taken

    def _padded(self, count: int) -> list[Arrived]:
        taken = self._pop(len(self._pictures)) if self._pictures else []
        assert self._newest is not None
        return taken + [self._newest] * (count - len(taken))

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
