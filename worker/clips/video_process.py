"""A process that reads one uploaded video. Run as a module by `decoding_process`."""

from __future__ import annotations

from framewire.worker.backends.base import Picture
from framewire.worker.runtime.decoding_child import serve

from .decoding import VideoError
from .video import VideoReader


class _Video:
    """Takes the next so many pictures of a video, and counts those that cannot be decoded."""

    def __init__(self, data: bytes, width: int, height: int) -> None:
        self._reader = VideoReader(data, width, height)

    def __call__(self, count: int) -> list[Picture]:
        return self._reader.take(count)

    @property
    def left_out(self) -> int:
        return self._reader.bad


if __name__ == "__main__":
    serve(_Video, VideoError)
