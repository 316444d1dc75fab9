"""Sends a clip's pictures into a stream, and tells which of its frames are the clip's.

Owns the pace (never more than two blocks ahead of the frames that came back) and the length: each
picture gets one frame. Models that withhold the frames of their first pictures are fed the first
picture a few times more; the frames of those, and of the last block's padding, are left out. Knows
no file.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging

from framewire.client.errors import FramewireError, InputError
from framewire.client.frames import Frame
from framewire.client.session import Session

from .clip_input import Clip

logger = logging.getLogger(__name__)

AHEAD = 24
"""Pictures that may be on their way: two of the largest blocks."""
LEAD = 3
"""How often the first picture is sent before its turn: as many frames as Krea's model withholds."""
ENDLESS = 1_000_000
"""Blocks to ask for where only the input's end ends a stream."""


class ClipFeed:
    """One clip into one stream.

    Attributes:
        sent: pictures of the clip that went out, the repetitions of the first not counted.
        failure: what ended it early.
    """

    def __init__(self, clip: Clip) -> None:
        self.sent = 0
        self.failure: FramewireError | None = None
        self._clip = clip
        self._kept = 0
        self._ended = False
        self._came = asyncio.Event()

    async def run(self, session: Session) -> None:
        """Send it all, then say that no more comes. A failure to read ends the stream as well."""
        try:
            pictures = await asyncio.to_thread(self._clip.pictures)
            while (picture := await asyncio.to_thread(next, pictures, None)) is not None:
                if self.sent == 0 and self._is_whole:
                    for _ in range(LEAD):
                        await session.send_image(picture, request_id="lead")
                await self._wait()
                if not await session.send_image(picture, request_id=str(self.sent)):
                    return  # --blocks was less than the clip
                self.sent += 1
            self._ended = True
            if not self.sent:
                raise InputError(f"{self._clip.name} has no pictures")
        except FramewireError as error:
            self.failure = error
        except Exception as error:
            logger.exception("feeding %s failed", self._clip.name)
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
            return True
        number = self._kept
        if frame.request_id is not None:
            number = int(frame.request_id) if frame.request_id.isdecimal() else -1
        taken = self._kept <= number < self.sent
        if taken:
            self._kept = number + 1
        self._came.set()
        return taken

    def check(self) -> None:
        """After the stream: raise what ended the feed early.

        Raises:
            FramewireError: the clip could not be read to its end, a picture not be sent, or the
                server made fewer frames than there were pictures.
        """
        if self.failure is not None:
            raise self.failure
        if self._is_whole and self._ended and self._kept < self.sent:
            raise InputError(
                f"{self._kept} frames came for {self.sent} pictures of {self._clip.name}",
                hint="a worker with batched steps keeps back its last blocks",
            )

    @property
    def _is_whole(self) -> bool:
        return self._clip.policy == "all"

    async def _wait(self) -> None:
        """Wait while too many are on their way; a camera waits for nobody."""
        while self._is_whole and self.sent - self._kept >= AHEAD:
            self._came.clear()
            await self._came.wait()
