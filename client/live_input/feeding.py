"""A source fed into a session while its frames are read: what `Session.feed` gives."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Protocol, Self

from framewire.client.frames import Frame

from .feed import Feed, TakesPictures


class Streams(TakesPictures, Protocol):
    """A session, as far as it is fed and read."""

    @property
    def blocks(self) -> int | None:
        """How many were asked for."""
        ...

    async def __anext__(self) -> Frame:
        """See `Session`."""
        ...


class Feeding:
    """Feeds from `async with` on; frames of what is fed come by iterating, inside of it.

    Of a clip each picture gets one frame, and other frames (of the first pictures' repetitions, of
    padding) are left out. Leaving stops the feed and closes the source, also before the end.

    Attributes:
        feed: counts what was used and left out, and tells the latency.

    Raises:
        InputError: at its end, if the source could not be read, none of it be used, or fewer frames
            came than there were pictures, though no number of blocks was asked for.
    """

    def __init__(self, session: Streams, feed: Feed) -> None:
        self.feed = feed
        self._session = session
        self._task: asyncio.Task[None] | None = None
        self._has_ended = False

    @property
    def latency(self) -> float | None:
        """See `Feed`."""
        return self.feed.latency

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        while True:
            try:
                frame = await anext(self._session)
            except StopAsyncIteration:
                self._has_ended = True
                raise
            if self.feed.takes(frame):
                return self.feed.timed(frame)

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self.feed.run(self._session))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._task is not None
        self._task.cancel()
        await asyncio.wait([self._task])
        if kind is None:
            self.feed.check(bounded=not self._has_ended or self._session.blocks is not None)
