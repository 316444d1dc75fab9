"""Sends a source's pictures into a stream, and tells which of its frames are the source's.

Owns the pace (never more than two blocks ahead of the frames that came back) and the length: each
picture gets one frame. Models that withhold the frames of their first pictures are fed the first
picture a few times more; the frames of those, and of the last block's padding, are left out. What
cannot be used is told of and left out as well. What is live waits for nobody: each picture is the
newest, and how old it is when its frame comes is measured.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from statistics import median
from typing import Any, Protocol

from framewire.client.errors import FramewireError, InputError
from framewire.client.events import Event
from framewire.client.frames import Frame
from framewire.protocol import Warned

from .pictures import Size, Unusable
from .source import Source

logger = logging.getLogger(__name__)

AHEAD = 24
"""Pictures that may be on their way: two of the largest blocks."""
LEAD = 3
"""How often the first picture is sent before its turn: as many frames as Krea's model withholds."""
ENDLESS = 1_000_000
"""Blocks to ask for where only the input's end ends a stream."""
PATIENCE = 10.0
"""Seconds to wait for frames of what was sent, before one picture more is sent all the same."""
_REMEMBERED = 500
"""Of what is live: pictures whose times are kept, ages that are counted, refusals that are named."""


class TakesPictures(Protocol):
    """A session, as far as it is fed."""

    async def send_image(self, jpeg: bytes, *, request_id: str | None = None) -> bool:
        """See `Session`."""
        ...

    async def end(self) -> bool:
        """See `Session`."""
        ...


class Feed:
    """One source into one stream.

    Args:
        clip: is closed once it is fed.
        covers: width and height that the stream is known to have.

    Attributes:
        sent: pictures of the source that went out, the repetitions of the first not counted.
        unusable: what was left out, here or by the worker.
        on_unusable: told at once of each of them.
        failure: what ended it early.
    """

    def __init__(self, clip: Source, covers: Size | None = None) -> None:
        self.sent = 0
        self.unusable: list[Unusable] = []
        self.on_unusable: Callable[[Unusable], None] | None = None
        self.failure: FramewireError | None = None
        self._clip = clip
        self._covers = covers
        self._next = 0  # the number of the picture whose frame is due
        self._taken = 0
        self._refused: set[int] = set()
        self._ended = self._is_stopped = False
        self._came = asyncio.Event()
        self._seen_at: dict[int, float] = {}  # of the newest pictures, by their numbers
        self._sound_at: dict[int, float] = {}  # of the same
        self._ages: deque[float] = deque(maxlen=_REMEMBERED)

    @property
    def latency(self) -> float | None:
        """Seconds from when a picture of what is live came to when its frame did; the median of
        those measured last. None where none can be told: of clips, and on a plain wire."""
        return median(self._ages) if self._ages else None

    @property
    def used(self) -> int:
        """Pictures that frames were made from; of a camera, those that were sent."""
        return self._taken if self._is_whole else self.sent

    @property
    def total(self) -> int:
        """All of the source's pictures; those seen so far, where no more is known."""
        if not self._is_whole:
            return max(self._clip.seen, self.sent)
        unsent = sum(one.count for one in self.unusable) - len(self._refused)
        seen = self.sent + unsent
        return seen if self._ended else max(self._clip.total or 0, seen)

    def as_dict(self) -> dict[str, Any]:
        """For the report."""
        latency = self.latency
        return {
            "name": self._clip.name,
            "used": self.used,
            "of": self.total,
            "left_out": [str(one) for one in self.unusable],
            "latency_seconds": None if latency is None else round(latency, 3),
        }

    async def stop(self) -> None:
        """Send no more: the stream ends with what was sent."""
        self._is_stopped = True
        self._came.set()
        await asyncio.to_thread(self._clip.close)  # else what is live may be waited for

    async def run(self, session: TakesPictures) -> None:
        """Send it all, then say that no more comes. A failure to read ends the stream as well."""
        try:
            await self._run(session)
        finally:
            await asyncio.to_thread(self._clip.close)  # which waits for its reader, a second

    async def _run(self, session: TakesPictures) -> None:
        try:
            pictures = await asyncio.to_thread(self._clip.pictures, self._covers)
            while (picture := await asyncio.to_thread(next, pictures, None)) is not None:
                if isinstance(picture, Unusable):
                    self._leave_out(picture)
                    continue
                if self.sent == 0 and self._is_whole:
                    for _ in range(LEAD):
                        await session.send_image(picture, request_id="lead")
                await self._wait()
                if self._is_stopped:
                    break
                self._remember()
                if not await session.send_image(picture, request_id=str(self.sent)):
                    return  # --blocks was less than the clip
                self.sent += 1
            self._ended = True
            if not self.sent and not self._is_stopped:
                raise InputError(f"no picture of {self._clip.name} can be used")
        except FramewireError as error:
            self.failure = error
        except Exception as error:
            # Of what is not on this machine the traceback may name a URL with a password.
            logger.error(
                "feeding %s failed: %s",
                self._clip.name,
                type(error).__name__,
                exc_info=self._clip.path is not None,
            )
            self.failure = InputError(f"{self._clip.name}: {type(error).__name__}")
        with contextlib.suppress(FramewireError):  # which whoever reads the session is told
            await session.end()

    def takes(self, frame: Frame) -> bool:
        """Whether a frame that came belongs to the result; also lets the feed go on.

        A frame does if it is the first that was made from the next picture of the clip. Servers
        that don't tell what a frame was made from (fal's) are taken to withhold frames as Krea's
        model does: then each frame is the next picture's, as many as were sent.
        """
        if not self._is_whole:
            self._measure(frame)
            return True
        number = self._next
        if frame.request_id is not None:
            number = int(frame.request_id) if frame.request_id.isdecimal() else -1
        taken = self._next <= number < self.sent
        if taken:
            self._next = number + 1
            self._taken += 1
        self._came.set()
        return taken

    def timed(self, frame: Frame) -> Frame:
        """A frame that was taken just now, with when its picture is by the clock of the sound.

        Where the server does not tell which picture it shows, that of a clip is the next one, and
        that of what is live as old as was measured, or as the frame.
        """
        number = str(self._next - 1) if self._is_whole else frame.request_id or ""
        if number.isdecimal():
            return replace(frame, source_at=self._sound_at.get(int(number)))
        return replace(frame, source_at=frame.received_at - (self.latency or 0.0))

    def saw_event(self, event: Event) -> None:
        """A picture that the worker refused is answered by that, as another is by its frame."""
        if not isinstance(event, Warned) or not (event.request_id or "").isdecimal():
            return
        number = int(event.request_id or "")
        if number < self.sent and number not in self._refused:
            if self._is_whole:
                self._refused.add(number)
            self._leave_out(Unusable(f"picture {number + 1}", f"refused: {event.reason}"))
            self._came.set()

    def check(self, *, bounded: bool = False) -> None:
        """After the stream: raise what ended the feed early.

        Args:
            bounded: fewer frames may have been asked for than there were pictures, or read.

        Raises:
            FramewireError: the clip could not be read to its end, a picture not be sent, or the
                server made fewer frames than there were pictures that it did not refuse.
        """
        if self.failure is not None:
            raise self.failure
        if bounded or not self._is_whole or not self._ended:
            return
        if self._taken == 0:
            raise InputError(f"no picture of {self._clip.name} could be used")
        if self._taken + len(self._refused) < self.sent:
            raise InputError(
                f"{self._taken} frames came for {self.sent} pictures of {self._clip.name}",
                hint="a worker with batched steps keeps back its last blocks",
            )

    @property
    def _is_whole(self) -> bool:
        return self._clip.policy == "all"

    @property
    def _on_their_way(self) -> int:
        refused = sum(number >= self._next for number in self._refused)
        return self.sent - self._next - refused

    def _remember(self) -> None:
        """When the picture that is sent next had come, and when it is beside its sound."""
        for times, at in (
            (self._seen_at, self._clip.at),
            (self._sound_at, self._clip.sound_at),
        ):
            if at is not None:
                times[self.sent] = at
                times.pop(self.sent - _REMEMBERED, None)

    def _measure(self, frame: Frame) -> None:
        """Of the frame that shows a picture first; those that repeat it would tell of the model's
        rate."""
        number = frame.request_id or ""
        at = self._seen_at.pop(int(number), None) if number.isdecimal() else None
        if at is not None:
            self._ages.append(frame.received_at - at)

    def _leave_out(self, what: Unusable) -> None:
        if self._is_whole or len(self.unusable) < _REMEMBERED:
            self.unusable.append(what)
        if self.on_unusable is not None:
            self.on_unusable(what)

    async def _wait(self) -> None:
        """Wait while too many are on their way; a camera waits for nobody."""
        while self._is_whole and self._on_their_way >= AHEAD and not self._is_stopped:
            self._came.clear()
            try:
                async with asyncio.timeout(PATIENCE):
                    await self._came.wait()
            except TimeoutError:
                return  # a server may have dropped some without a word
