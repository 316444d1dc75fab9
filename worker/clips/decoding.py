"""The frames of an uploaded video, as shown: damaged packets left out and counted.

What is read is hostile: only plain container formats are opened, nothing that names other files or
addresses, and sizes are bounded.
"""

from __future__ import annotations

import heapq
import io
from collections.abc import Iterator
from contextlib import contextmanager
from fractions import Fraction
from typing import Any

from framewire.protocol.picture_header import read_header

from .as_shown import AsShown

MAX_PIXELS = 10_000_000
MAX_FRAMES = 6_000
MAX_PIXELS_IN_ALL = 6_000_000_000
"""Of the frames that are read: ten seconds of 4K at 60 a second."""
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,gif"
_PIXELS = {"max_pixels": str(MAX_PIXELS * 11 // 10)}  # with the rims of coded pictures
_ERRORS_IN_A_ROW = 100
_LITTLE = Fraction(1, 10)
"""Of a video's pictures; where fewer can be decoded it has failed."""
_OUTPUT_CORRUPT = 1 << 3  # AV_CODEC_FLAG_OUTPUT_CORRUPT
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders leave it out


class VideoError(ValueError):
    """These bytes are no video that can be used; the message is one line for the sender."""


class Decoding:
    """The picture track of a video.

    Args:
        data: an MP4, MOV, WebM, Matroska or GIF file.

    Attributes:
        container, stream: PyAV's of it.
        packets: read so far, the damaged ones included.
        bad: how many of them could not be decoded.
        count: frames that could.

    Raises:
        VideoError: it is none of these, or has no such track.
    """

    def __init__(self, data: bytes) -> None:
        import av

        self._judge_screen(data)
        self._errors: tuple[type[Exception], ...] = (av.error.FFmpegError, OSError, ValueError)
        try:
            # A playlist would make the library open what it names: files here, or URLs.
            self.container: Any = av.open(
                io.BytesIO(data),
                options={"format_whitelist": _FORMATS, "protocol_whitelist": ""} | _PIXELS,
            )
        except self._errors as error:
            raise VideoError("not an MP4, MOV, WebM, Matroska or GIF video") from error
        if not self.container.streams.video:
            self.container.close()
            raise VideoError("there is no picture track in it")
        self.stream: Any = self.container.streams.video[0]
        self.packets = self.bad = self.count = 0
        self._shown = AsShown(MAX_PIXELS)
        try:
            self._decoder = _decoder(self.stream)
        except VideoError:
            self.container.close()
            raise
        self._decoder.options = _PIXELS  # pictures of another size than the track says
        self._gaps: list[Fraction] = []

    def _judge_screen(self, data: bytes) -> None:
        """Of a GIF FFmpeg decodes a picture when it opens it, as large as the screen."""
        header = read_header(data)
        if header is not None:
            _check_pixels(header.width, header.height)

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def frames(self) -> Iterator[Any]:
        """Every frame that can be decoded, in rgb24, in the order of showing.

        Raises:
            VideoError: the frames are too large or too many, or few of them can be decoded.
        """
        pixels = 0
        _check_pixels(self.stream.width, self.stream.height)
        for frame in self._decoded():
            self.count += 1
            _check_pixels(frame.width, frame.height)
            pixels += frame.width * frame.height
            if self.count > MAX_FRAMES or pixels > MAX_PIXELS_IN_ALL:
                raise VideoError(
                    f"its pictures are too many or too large: at most {MAX_FRAMES} are read, and "
                    f"{MAX_PIXELS_IN_ALL // 1_000_000_000} gigapixels of them"
                )
            frame.time_base = self.stream.time_base  # which a decoder that is drained forgets
            with self._conversion():
                yield from self._shown.take(frame, float(self.stream.sample_aspect_ratio or 1))
        with self._conversion():
            yield from self._shown.rest()
        total = self.count + self.lost
        if self.count < total * _LITTLE:
            raise VideoError(f"it is damaged: {self.count} of {total} pictures can be decoded")

    @contextmanager
    def _conversion(self) -> Iterator[None]:
        try:
            yield
        except VideoError:
            raise
        except self._errors as error:
            raise VideoError("its colours are of a kind that cannot be converted here") from error

    @property
    def lost(self) -> int:
        """Pictures that did not come of what was read, where any of it is damaged."""
        return max(self.bad, self.packets - self.count) if self.bad else 0

    def gaps_before(self, at: Fraction) -> Iterator[Fraction]:
        """The times before `at`, in seconds, of pictures that could not be decoded, each once."""
        while self._gaps and self._gaps[0] < at:
            yield heapq.heappop(self._gaps)

    def _decoded(self) -> Iterator[Any]:
        for packet in self._demuxed():
            try:
                yield from self._decoder.decode(packet if packet.size else None)
            except self._errors:
                self.bad += 1
                if packet.pts is not None:
                    heapq.heappush(self._gaps, packet.pts * packet.time_base)

    def _demuxed(self) -> Iterator[Any]:
        """The packets, ending with an empty one that drains the decoder."""
        import av

        failed = 0
        while failed < _ERRORS_IN_A_ROW:
            try:
                for packet in self.container.demux(self.stream):
                    failed = 0
                    self.packets += packet.size > 0
                    yield packet
                return
            except self._errors:
                failed += 1
        yield av.Packet()


def _check_pixels(width: int, height: int) -> None:
    if width * height > MAX_PIXELS:
        raise VideoError(f"{width}x{height}; at most {MAX_PIXELS // 1_000_000} megapixels")


def _decoder(stream: Any) -> Any:
    import av

    context = stream.codec_context
    if context is None:
        raise VideoError("its pictures are of a kind that is not known here")
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") == "1" and context.name in _WITH_ALPHA:
        try:
            return av.CodecContext.create(_WITH_ALPHA[context.name], "r")
        except av.codec.codec.UnknownCodecError:
            return context
    if context.name == "hevc":  # which else leaves out all frames behind a missing one
        context.flags |= _OUTPUT_CORRUPT
    return context
