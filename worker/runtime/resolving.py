"""Where params become settings: at once, in turn with others' pictures, or in a process of its own.

That is where a start frame is decoded which would keep a thread for long.
"""

from __future__ import annotations

from collections.abc import Hashable

from framewire.protocol import Params
from framewire.protocol.picture_header import LIVE, PictureRefused, judge_picture
from framewire.worker.backends.base import Picture, Settings, SettingsError

from .decoding_process import DecodingRefused, decoding
from .settings import resolve_settings, stream_size
from .worker import Worker

SECONDS = 30.0
"""That decoding a start frame may take."""


async def resolved(
    worker: Worker, viewer: Hashable, params: Params, first: bytes | None = None
) -> Settings:
    """Every value that a stream is made from.

    Args:
        viewer: whose turn it is.
        first: the first live picture, where its size is the stream's.

    Raises:
        SettingsError: the start frame is no picture that can be used.
        Draining: the worker shuts down meanwhile.
    """
    defaults = worker.backend.defaults
    frame = params.start_frame
    if frame is None and first is None:  # who sends no picture waits for none
        return resolve_settings(params, defaults)
    if frame is None or not await worker.in_turn(viewer, lambda: _takes_long(frame)):
        return await worker.unless_draining(
            worker.in_turn(viewer, lambda: resolve_settings(params, defaults, first))
        )
    width, height = await worker.in_turn(viewer, lambda: stream_size(params, defaults, first))
    picture = await worker.unless_draining(_decoded_apart(worker, frame, width, height))
    return resolve_settings(params, defaults, first, picture)


def _takes_long(frame: bytes) -> bool:
    try:
        judge_picture(frame, LIVE)
    except PictureRefused:
        return True
    return False


async def _decoded_apart(worker: Worker, frame: bytes, width: int, height: int) -> Picture:
    module = f"{__package__}.picture_process"
    try:
        async with worker.large_pictures, decoding(module, frame, seconds=SECONDS) as process:
            return (await process.ask(width=width, height=height))[0]
    except DecodingRefused as error:
        raise SettingsError("start_frame", str(error)) from error
