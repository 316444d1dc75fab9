"""From a frame's JPEG to a picture that PyAV can work with. Knows no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.frames import Frame

from .base import VIDEO_EXTRA


def load_av(path: Path) -> Any:
    """PyAV, imported when a saver that needs it is made.

    Raises:
        SaveError: it is not installed.
    """
    try:
        import av
    except ImportError:
        raise SaveError(f"saving {path.name} needs PyAV", hint=VIDEO_EXTRA) from None
    return av


class JpegDecoder:
    """Decodes one JPEG after another."""

    def __init__(self, av: Any) -> None:
        self._av = av
        self._codec: Any = av.CodecContext.create("mjpeg", "r")
        self._codec.thread_count = 1  # threads would hold pictures back

    def decode(self, frame: Frame) -> Any:
        """The frame's picture, an `av.VideoFrame`.

        Raises:
            SaveError: it is none.
        """
        try:
            pictures = self._codec.decode(self._av.Packet(frame.jpeg))
        except (OSError, ValueError) as error:  # PyAV's own errors are one or the other
            raise SaveError(f"frame {frame.index} is no picture: {error}") from error
        if not pictures:
            raise SaveError(f"frame {frame.index} is no picture")
        return pictures[0]
