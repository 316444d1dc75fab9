"""MP4 files: H.264, yuv420p, constant rate. Needs the extra `video` (PyAV), and only when used.

The file is playable whenever the program dies: it is written in fragments, which closing turns
into an ordinary MP4 (FFmpeg's `hybrid_fragmented`).
"""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.frames import Frame

from .base import VIDEO_EXTRA

_ENCODING = {"preset": "veryfast", "crf": "18", "g": "48"}  # a fragment every 48 frames
_MUXING = {"movflags": "hybrid_fragmented", "flush_packets": "1"}


class VideoSaver:
    """Writes a video. All frames get the size of the first.

    Args:
        path: the file; replaced if it is there.
        fps: frames a second; Krea's native rate is 16.

    Raises:
        SaveError: PyAV is not installed.
    """

    def __init__(self, path: Path, *, fps: float = 16.0) -> None:
        try:
            import av
        except ImportError:
            raise SaveError(f"saving {path.name} needs PyAV", hint=VIDEO_EXTRA) from None
        if not 0 < fps <= 1000:
            raise SaveError(f"{fps:g} frames a second; more than 0, at most 1000")
        self.path = path
        self._av: Any = av
        self._rate = Fraction(fps).limit_denominator(1001)
        self._container: Any = None
        self._stream: Any = None
        self._decoder: Any = None
        self._count = 0

    def open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = self._av.open(str(self.path), "w", format="mp4", options=_MUXING)
        except OSError as error:
            raise SaveError(f"{self.path}: {error.strerror or error}") from error
        self._decoder = self._av.CodecContext.create("mjpeg", "r")
        self._decoder.thread_count = 1  # threads would hold pictures back

    def write(self, frame: Frame, prompt: str | None) -> None:
        try:
            pictures = self._decoder.decode(self._av.Packet(frame.jpeg))
            if not pictures:
                raise SaveError(f"frame {frame.index} is no picture")
            self._add(pictures[0])
        except OSError as error:  # PyAV's own errors are OSErrors too, or ValueErrors
            raise self._failed(error) from error
        except ValueError as error:
            raise SaveError(f"frame {frame.index} is no picture: {error}") from error

    def _add(self, picture: Any) -> None:
        if self._stream is None:
            self._stream = self._container.add_stream("libx264", rate=self._rate)
            self._stream.width = picture.width - picture.width % 2
            self._stream.height = picture.height - picture.height % 2
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = _ENCODING
        picture = picture.reformat(
            width=self._stream.width,
            height=self._stream.height,
            format="yuv420p",
            dst_color_range="MPEG",
        )
        picture.pts = self._count
        picture.time_base = 1 / self._rate
        self._count += 1
        self._container.mux(self._stream.encode(picture))

    def close(self) -> None:
        try:
            if self._stream is not None:
                self._container.mux(self._stream.encode(None))
        except OSError as error:
            raise self._failed(error) from error
        finally:
            self._finish()

    def _finish(self) -> None:
        try:
            self._container.close()
        except OSError as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError) -> SaveError:
        return SaveError(f"{self.path}: {error.strerror or error}")
