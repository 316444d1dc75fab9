"""From a frame's JPEG to a picture that PyAV can work with."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError, in_words
from framewire.client.frames import Frame
from framewire.protocol.limits import MAX_LIVE_SCANS
from framewire.protocol.picture_header import Bounds, PictureRefused, judge_picture

from .base import VIDEO_EXTRA

BOUNDS = Bounds(pixels=16_777_216, scans=MAX_LIVE_SCANS)
"""Of a frame: four times the largest that the wire allows, and no more memory or time for any JPEG."""


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


def rate_of(fps: float) -> Fraction:
    """Frames a second as containers count them.

    Raises:
        SaveError: out of range.
    """
    rate = Fraction(fps).limit_denominator(1001) if 0 < fps <= 1000 else Fraction(0)
    if not rate:
        raise SaveError(f"{fps:g} frames a second; at least 0.001, at most 1000")
    return rate


class JpegDecoder:
    """Decodes one JPEG after another."""

    def __init__(self, av: Any) -> None:
        self._av = av
        self._codec: Any = av.CodecContext.create("mjpeg", "r")
        self._codec.thread_count = 1  # threads would hold pictures back
        self._codec.options = {"max_pixels": str(BOUNDS.pixels)}

    def decode(self, frame: Frame) -> Any:
        """The frame's picture, an `av.VideoFrame`.

        Raises:
            SaveError: it is none, or more than a frame may be.
        """
        try:
            judge_picture(frame.jpeg, BOUNDS)
        except PictureRefused as error:
            raise SaveError(f"frame {frame.index} is no picture to decode: {error}") from error
        try:
            pictures = self._codec.decode(self._av.Packet(frame.jpeg))
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            raise SaveError(f"frame {frame.index} is no picture: {in_words(error)}") from error
        if not pictures:
            raise SaveError(f"frame {frame.index} is no picture")
        return pictures[0]
