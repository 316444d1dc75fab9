"""What a frame is in a pipe: its JPEG, or its pixels, in FFmpeg's names. Writes nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from framewire.client.frames import Frame
from framewire.client.savers.decoding import JpegDecoder, load_av

_PIXEL_BYTES = {"rgb24": (3,), "bgr24": (3,), "yuv420p": (1, 1, 1)}  # in each plane
JPEG, RAW = "jpeg", "raw"
FORMS = (JPEG, RAW, *_PIXEL_BYTES)
"""What `--format` takes; `raw` is rgb24."""
_BT601, _LIMITED, _FULL = 5, 1, 2  # FFmpeg's numbers


class Form(Protocol):
    """Turns frames into bytes, of which those of one follow on those of another."""

    def of(self, frame: Frame) -> bytes:
        """The bytes of a frame.

        Raises:
            SaveError: it is no picture.
        """
        ...

    @property
    def read_by(self) -> str | None:
        """FFmpeg's options that read it, where it does not tell itself; known after a frame."""
        ...


def form_for(name: str, path: Path) -> Form:
    """One of `FORMS`, for one pipe.

    Args:
        path: of the pipe, as it is called in an error.

    Raises:
        SaveError: what it needs is not installed.
    """
    return Jpegs() if name == JPEG else RawPictures("rgb24" if name == RAW else name, path)


class Jpegs:
    """The JPEGs as they came (FFmpeg's `mjpeg`)."""

    read_by = None

    def of(self, frame: Frame) -> bytes:
        return frame.jpeg


class RawPictures:
    """Pixels row by row without padding, all pictures of the first one's size (FFmpeg's `rawvideo`).

    Args:
        pixels: rgb24, bgr24 or yuv420p (in BT.601 of limited range, for which FFmpeg takes it
            where nothing is said; an odd side loses a row).
        path: see `form_for`.
    """

    def __init__(self, pixels: str, path: Path) -> None:
        self._av = load_av(path)
        self._pixels = pixels
        self._decoder = JpegDecoder(self._av)
        self._reformatter = self._av.video.reformatter.VideoReformatter()
        self._size: tuple[int, int] | None = None

    @property
    def read_by(self) -> str | None:
        if self._size is None:
            return None
        size = "{}x{}".format(*self._size)
        return f"-f rawvideo -pixel_format {self._pixels} -video_size {size}"

    def of(self, frame: Frame) -> bytes:
        picture = self._decoder.decode(frame)
        if self._size is None:
            odd = 2 if self._pixels == "yuv420p" else 1
            self._size = picture.width - picture.width % odd, picture.height - picture.height % odd
        way = self._av.video.reformatter.Interpolation
        made = self._reformatter.reformat(
            picture,
            *self._size,
            format=self._pixels,
            src_colorspace=_BT601,
            src_color_range=_FULL,
            dst_colorspace=_BT601,
            dst_color_range=_LIMITED if self._pixels == "yuv420p" else _FULL,
            interpolation=way.BICUBIC | way.ACCURATE_RND | way.FULL_CHR_H_INT | way.FULL_CHR_H_INP,
        )
        each = _PIXEL_BYTES[self._pixels]
        return b"".join(_rows(plane, size) for plane, size in zip(made.planes, each, strict=True))


def _rows(plane: Any, pixel_bytes: int) -> bytes:
    data, row = memoryview(plane), plane.width * pixel_bytes
    if row == plane.line_size:
        return bytes(data[: row * plane.height])
    begins = range(0, plane.line_size * plane.height, plane.line_size)
    return b"".join(data[begin : begin + row] for begin in begins)
