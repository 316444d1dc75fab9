"""The pictures that came in for one stream and were not used yet.

`newest` (live): only the newest that the next block needs are kept, older ones are dropped.
`all` (a clip): nothing is dropped; the sender waits. Pictures are kept encoded; decoding one
costs more than carrying it. Both are bounded in bytes too, and hold two pictures at most before
their stream has a place.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from framewire.worker.runtime.input_room import PICTURES_BEFORE, InputRoom

FIRST_WANTED = 12  # until the first block says how many pictures it takes


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a picture comes from; `at` is the loop's time of its arrival, in seconds."""

    at: float
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class Arrived:
    """One encoded input picture."""

    data: bytes
    origin: Origin


class InputGap(TimeoutError):
    """No picture came for longer than a stream may wait for one."""


class InputQueue:
    """A bounded queue of pictures between a session's reader and its stream.

    Args:
        policy: `newest` or `all`.
        patience: seconds without a picture after which live input repeats the newest one.
        limit: seconds without a picture after which waiting is given up.
        on_drop: told how many pictures were dropped unused.
        room: what the pictures take is bounded by.
        has_place: whether the stream has its place on the backend already.
    """

    def __init__(
        self,
        policy: Literal["newest", "all"],
        patience: float,
        limit: float,
        on_drop: Callable[[int], None],
        room: InputRoom,
        *,
        has_place: bool = False,
    ) -> None:
        self._policy = policy
        self._patience = patience
        self._limit = limit
        self._on_drop = on_drop
        self._room = room
        self._has_place = has_place
        self._bytes = 0
        self._is_crowded = False  # more came than the bytes allow
        self._pictures: deque[Arrived] = deque()
        self._newest: Arrived | None = None
        self._wanted = FIRST_WANTED
        self._ended = False
        self._changed = asyncio.Event()
        self._last_at = asyncio.get_running_loop().time()

    @property
    def ended(self) -> bool:
        """Whether no more pictures are taken."""
        return self._ended

    async def put(self, picture: Arrived) -> bool:
        """Add a picture. With `all` this waits while there is no room for it.

        Returns:
            Whether it was taken; it is not after the end, or where there is no room for it.
        """
        size = len(picture.data)
        if self._policy == "all":
            with self._room.waited_for(self._changed):
                while not self._ended and not self._fits(size):
                    await self._wait(None)
        else:
            while self._pictures and not self._fits(size):
                self._drop_oldest()
        if self._ended or not self._fits(size):
            self._on_drop(1)
            return False
        self._pictures.append(picture)
        self._count_bytes(size)
        self._last_at = picture.origin.at
        if self._policy == "newest":
            self._trim()
        self._changed.set()
        return True

    def take_place(self) -> None:
        """The stream has its place: what is held counts to its own share from now on."""
        self._room.free(0 if self._has_place else self._bytes)
        self._has_place = True
        self._changed.set()

    def end(self) -> None:
        """No more pictures come; what waits is still used."""
        self._ended = True
        self._changed.set()

    def close(self) -> int:
        """No more pictures come, and what waits is of no use.

        Returns:
            How many pictures that is.
        """
        self.end()
        unused = len(self._pictures)
        self._count_bytes(-self._bytes)
        self._pictures.clear()
        self._newest = None
        return unused

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

        Fewer where the bytes that may wait hold no more: then the rest is to be taken next.

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
            if self._is_crowded and self._pictures:
                return self._pop(len(self._pictures))
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
        while len(self._pictures) > self._wanted:
            self._drop_oldest()

    def _drop_oldest(self) -> None:
        self._count_bytes(-len(self._pictures.popleft().data))
        self._on_drop(1)

    def _fits(self, size: int) -> bool:
        """Whether a picture more may wait."""
        waiting = len(self._pictures)
        if not self._has_place:
            return waiting < PICTURES_BEFORE and self._room.has(size)
        if waiting and self._bytes + size > self._room.share:
            self._is_crowded = True
            self._changed.set()
            return False
        return self._policy == "newest" or waiting < 2 * self._wanted

    def _count_bytes(self, more: int) -> None:
        self._bytes += more
        if self._has_place:
            return
        if more > 0:
            self._room.hold(more)
        else:
            self._room.free(-more)

    def _pop(self, count: int) -> list[Arrived]:
        taken = [self._pictures.popleft() for _ in range(count)]
        self._count_bytes(-sum(len(picture.data) for picture in taken))
        self._is_crowded = False
        self._newest = taken[-1] if self._policy == "newest" else None  # `all` repeats none
        self._changed.set()
        return taken

    def _padded(self, count: int) -> list[Arrived]:
        taken = self._pop(len(self._pictures)) if self._pictures else []
        last = taken[-1] if taken else self._newest
        assert last is not None
        return taken + [last] * (count - len(taken))

    async def _wait(self, seconds: float | None) -> None:
        self._changed.clear()
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
