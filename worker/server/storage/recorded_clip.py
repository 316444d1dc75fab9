"""A recording as a video file, in turn with whatever else the worker's threads have to do."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import simplejpeg

from framewire.worker.clips.errors import CallerLeft, ClipNotWritten
from framewire.worker.clips.maker import Gone
from framewire.worker.clips.video import VideoWriter
from framewire.worker.runtime.to_the_end import to_the_end
from framewire.worker.runtime.worker import Worker

from .recordings import Recording, recorded_frames

_AT_ONCE = 12


async def write_clip(worker: Worker, recording: Recording, path: Path, gone: Gone) -> int:
    """Write all frames that there are by now to `path`, an MP4 of 16 frames a second.

    Args:
        gone: says whether the caller has left.

    Returns:
        How many these are.

    Raises:
        CallerLeft, ClipNotWritten: there is no file.
        WriteError: there is no room for it.
    """
    count, width, height = recording.frames, recording.width, recording.height
    frames = recorded_frames(recording.path, count)
    writer = await to_the_end(worker.in_turn(path, lambda: VideoWriter(path, width, height)))
    try:
        for _ in range(0, count, _AT_ONCE):
            await to_the_end(worker.in_turn(path, lambda: _write_some(writer, frames)))
            if await gone():
                raise CallerLeft("the caller has left")
    except OSError as error:
        raise ClipNotWritten("the recording's time was over before it was written") from error
    finally:
        await to_the_end(worker.in_turn(path, writer.close))
    return count


def _write_some(writer: VideoWriter, frames: Iterator[bytes]) -> None:
    jpegs = islice(frames, _AT_ONCE)
    writer.write(np.stack([simplejpeg.decode_jpeg(jpeg, "RGB") for jpeg in jpegs]))
