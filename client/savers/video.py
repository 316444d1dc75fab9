"""MP4 (H.264) and WebM (VP9) files: yuv420p, constant rate. Needs the extra `video` (PyAV).

The file is playable whenever the program dies: an MP4 is written in fragments, which closing
turns into an ordinary one (FFmpeg's `hybrid_fragmented`), a WebM in clusters.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.frames import Frame

from .decoding import JpegDecoder, load_av
from .fragments import cut_broken_end


@dataclass(frozen=True, slots=True)
class _Kind:
    format: str
    codec: str
    encoding: dict[str, str]
    muxing: dict[str, str]


# A key frame every 48 frames, and with it a fragment or cluster. Of FFmpeg's VP8 and VP9 at equal
# quality (33 dB) the latter is the faster one here: 18 and 77 ms of CPU for a frame of 832x480.
_KINDS = {
    ".mp4": _Kind(
        "mp4",
        "libx264",
        {"preset": "veryfast", "crf": "18", "g": "48"},
        {"movflags": "hybrid_fragmented", "flush_packets": "1"},
    ),
    ".webm": _Kind(
        "webm",
        "libvpx-vp9",
        {"deadline": "realtime", "cpu-used": "8", "crf": "24", "b": "0", "row-mt": "1", "g": "48"},
        {"flush_packets": "1"},
    ),
}
VIDEO_ENDINGS = tuple(_KINDS)


class VideoSaver:
    """Writes a video. All frames get the size of the first.

    Args:
        path: the file, `.mp4` or `.webm`; replaced if it is there.
        fps: frames a second; Krea's native rate is 16.

    Raises:
        SaveError: no such kind of video, or PyAV is not installed.
    """

    def __init__(self, path: Path, *, fps: float = 16.0) -> None:
        kind = _KINDS.get(path.suffix.lower())
        if kind is None:
            raise SaveError(f"{path.name} is no video", hint=f"use {' or '.join(_KINDS)}")
        if not 0 < fps <= 1000:
            raise SaveError(f"{fps:g} frames a second; more than 0, at most 1000")
        self.path = path
        self._kind = kind
        self._av = load_av(path)
        self._rate = Fraction(fps).limit_denominator(1001)
        self._container: Any = None
        self._stream: Any = None
        self._decoder: Any = None
        self._count = 0
        self._is_broken = False

    def open(self) -> None:
        kind = self._kind
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._container = self._av.open(
                str(self.path), "w", format=kind.format, options=kind.muxing
            )
        except OSError as error:
            raise self._failed(error) from error
        self._decoder = JpegDecoder(self._av)

    def write(self, frame: Frame, prompt: str | None) -> None:
        picture = self._decoder.decode(frame)
        try:
            self._add(picture)
        except (OSError, ValueError) as error:  # PyAV's own errors are one or the other
            raise self._failed(error) from error

    def _add(self, picture: Any) -> None:
        if self._stream is None:
            self._stream = self._container.add_stream(self._kind.codec, rate=self._rate)
            self._stream.width = picture.width - picture.width % 2
            self._stream.height = picture.height - picture.height % 2
            self._stream.pix_fmt = "yuv420p"
            self._stream.options = self._kind.encoding
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
        if self._container is None:
            return
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
        finally:
            if self._is_broken and self._kind.format == "mp4":
                cut_broken_end(self.path)

    def _failed(self, error: Exception) -> SaveError:
        self._is_broken = True
        return SaveError(f"{self.path}: {getattr(error, 'strerror', None) or error}")
