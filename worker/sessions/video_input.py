"""An uploaded video as a stream's input: whoever stops waiting for its pictures loses none."""

from __future__ import annotations

import asyncio

from framewire.worker.backends.base import Picture, SettingsError

from .viewer_files import VideoSource


class VideoInput:
    """The pictures of one video, in order.

    Attributes:
        source: where they come from.
    """

    def __init__(self, source: VideoSource) -> None:
        self.source = source
        self._asking: asyncio.Task[list[Picture]] | None = None

    async def take(self, count: int) -> list[Picture]:
        """The next pictures, or none once the video is used up.

        After a cancellation the next call gets what the cancelled one had asked for.

        Raises:
            SettingsError: the video cannot be used on.
        """
        if self._asking is None:
            self._asking = asyncio.create_task(self.source.take(count))
        try:
            taken = await asyncio.shield(self._asking)
        except ValueError as error:
            self._asking = None
            raise SettingsError("input_video", str(error)) from error
        self._asking = None
        return taken

    async def close(self) -> None:
        """Ask for nothing any more."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.gather(self._asking, return_exceptions=True)
