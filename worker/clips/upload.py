"""An uploaded video as the maker of a clip sees it: pictures, a block's worth at a time.

Read in a process of its own: neither another viewer nor a drain waits for it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from framewire.worker.backends.base import Picture
from framewire.worker.runtime.decoding_process import DecodingProcess, DecodingRefused, decoding

from .decoding import VideoError

SECONDS = 60.0
"""That reading one video may take in all."""


class Upload:
    """Made by `uploaded`."""

    def __init__(self, process: DecodingProcess) -> None:
        self._process = process
        self._last: Picture | None = None

    @property
    def left_out(self) -> int:
        """Pictures that could not be decoded so far."""
        return self._process.left_out

    async def take(self, count: int) -> list[Picture]:
        """The next `count` pictures [H, W, 3]; the last one is repeated at the end of the video.

        None of them once the video is used up.

        Raises:
            VideoError: the video is too large or long, damaged beyond use, or takes too long.
        """
        try:
            taken = await self._process.ask(count=count)
        except DecodingRefused as error:
            raise VideoError(str(error)) from error
        self._last = taken[-1] if taken else self._last
        return taken

    def last(self) -> Picture:
        """The last picture that was taken.

        Raises:
            VideoError: there was none.
        """
        if self._last is None:
            raise VideoError("there is no picture in it")
        return self._last


@asynccontextmanager
async def uploaded(data: bytes, width: int, height: int) -> AsyncIterator[Upload]:
    """The video in `data`, with its pictures at this size; its process is gone after the block.

    Raises:
        VideoError: it is no video.
    """
    try:
        async with decoding(
            f"{__package__}.video_process", data, seconds=SECONDS, width=width, height=height
        ) as process:
            yield Upload(process)
    except DecodingRefused as error:
        raise VideoError(str(error)) from error
