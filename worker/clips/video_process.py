"""A process that reads one uploaded video. Run as a module by `decoding_process`."""

from __future__ import annotations

from framewire.worker.runtime.decoding_child import Take, serve

from .decoding import VideoError
from .video import VideoReader


def opened(data: bytes, width: int, height: int) -> Take:
    """What takes the next so many pictures of the video."""
    reader = VideoReader(data, width, height)
    return lambda count: reader.take(count)


if __name__ == "__main__":
    serve(opened, VideoError)
