"""Video files in and out, by PyAV (the extra `video`): MP4 written, uploads read as pictures.

Everything here blocks, so it runs on the worker's threads.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from fractions import Fraction
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from framewire.worker.backends.base import Frames, Picture

from .decoding import Decoding, VideoError
from .errors import in_words
from .pace import lasting, pace_of

FPS = 16
_BT709 = 1  # ITU-T H.273: primaries, transfer and matrix alike
_LIMITED, _FULL = 1, 2
_EARLY = Fraction(1, 4 * FPS)
"""Seconds by which a frame may come too late: some containers round times to milliseconds."""


class ExtraMissing(RuntimeError):
    """PyAV is not installed."""

    def __init__(self) -> None:
        super().__init__("video files need PyAV on the worker: pip install 'framewire[video]'")


def require_av() -> Any:
    """The `av` module.

    Raises:
        ExtraMissing: it is not installed.
    """
    try:
        import av
    except ModuleNotFoundError:
        raise ExtraMissing from None
    return av


class WriteError(RuntimeError):
    """The file cannot be written; the message is one line."""


class VideoWriter:
    """Writes an MP4: H.264, yuv420p in BT.709, 16 frames a second, its index in front.

    Raises:
        WriteError: it cannot be written there.
    """

    def __init__(self, path: Path, width: int, height: int) -> None:
        self._av = require_av()
        self._reformatter = self._av.video.reformatter.VideoReformatter()
        self._is_sound = False  # FFmpeg crashes where a file without a header is flushed
        self._count = 0
        with self._failing():
            self._container = self._av.open(
                str(path), "w", format="mp4", options={"movflags": "faststart"}
            )
        try:
            with self._failing():
                self._stream = self._container.add_stream("libx264", rate=FPS)
                self._stream.width, self._stream.height = width, height
                self._stream.pix_fmt = "yuv420p"
                self._stream.options = {"preset": "veryfast", "crf": "18"}
                context = self._stream.codec_context
                context.color_range = _LIMITED
                context.color_primaries = context.color_trc = context.colorspace = _BT709
                self._container.start_encoding()
        except WriteError:
            self.close()
            raise
        self._is_sound = True

    def write(self, frames: Frames) -> None:
        """Add frames [T, H, W, 3] uint8 RGB.

        Raises:
            WriteError: they cannot be written, by which the file is at its end.
        """
        for picture in frames:
            frame = self._av.VideoFrame.from_ndarray(np.ascontiguousarray(picture), "rgb24")
            frame = self._in_bt709(frame)
            frame.pts, frame.time_base = self._count, Fraction(1, FPS)
            self._count += 1
            with self._failing():
                self._container.mux(self._stream.encode(frame))

    def close(self) -> None:
        """Finish the file.

        Raises:
            WriteError: it cannot be finished.
        """
        try:
            if self._count and self._is_sound:
                with self._failing():
                    self._container.mux(self._stream.encode(None))
        finally:
            with self._failing():
                self._container.close()

    def _in_bt709(self, frame: Any) -> Any:
        """Converted with every bit: FFmpeg's fast way is off by up to four levels."""
        way = self._av.video.reformatter.Interpolation
        return self._reformatter.reformat(
            frame,
            format="yuv420p",
            src_color_range=_FULL,
            dst_colorspace=_BT709,
            dst_color_range=_LIMITED,
            interpolation=way.BICUBIC | way.ACCURATE_RND | way.FULL_CHR_H_INT | way.FULL_CHR_H_INP,
        )

    @contextmanager
    def _failing(self) -> Iterator[None]:
        try:
            yield
        except (self._av.error.FFmpegError, OSError, ValueError) as error:
            self._is_sound = False
            raise WriteError(f"the clip cannot be written: {in_words(error)}") from error


class VideoReader:
    """The pictures of a video at 16 a second, as shown, cropped about the centre and resized.

    What is damaged is left out: nothing is repeated for it.

    Args:
        data: an MP4, MOV, WebM, Matroska or GIF file.
        width, height: of the pictures, in pixels.

    Raises:
        VideoError: it is none of these.
    """

    def __init__(self, data: bytes, width: int, height: int) -> None:
        require_av()
        self._size = (width, height)
        with closing(Decoding(data)) as decoding:
            self._pace = pace_of(decoding.container)
        self._decoding = Decoding(data)
        self._pictures = self._resampled()
        self._last: Picture | None = None

    @property
    def bad(self) -> int:
        """Pictures that could not be decoded, as far as it was read."""
        return self._decoding.lost

    def take(self, count: int) -> list[Picture]:
        """The next `count` pictures [H, W, 3]; the last one is repeated at the end of the video.

        None of them once the video is used up.

        Raises:
            VideoError: the video is too large, or damaged beyond use.
        """
        taken = list(islice(self._pictures, count))
        if taken:
            self._last = taken[-1]
            taken += [taken[-1]] * (count - len(taken))
        return taken

    def last(self) -> Picture:
        """The last picture that was taken.

        Raises:
            VideoError: there was none.
        """
        if self._last is None:
            raise VideoError("there is no picture in it")
        return self._last

    def close(self) -> None:
        """Close the file."""
        self._pictures.close()
        self._decoding.close()

    def _resampled(self) -> Generator[Picture, None, None]:
        """At each sixteenth of a second, the source frame that shows then."""
        clock, made = Fraction(0), 0
        for frame, seconds in lasting(self._decoding, self._pace):
            clock += seconds
            picture: Picture | None = None
            while Fraction(made, FPS) < clock - _EARLY or (picture is None and made == 0):
                picture = self._fitted(frame) if picture is None else picture
                yield picture
                made += 1

    def _fitted(self, frame: Any) -> Picture:
        image = Image.fromarray(frame.to_ndarray(format="rgb24"))
        return np.array(ImageOps.fit(image, self._size, Image.Resampling.LANCZOS))
