"""The frames of an opened video, as shown: damaged packets left out and counted, nothing held back.

Knows containers and decoders (PyAV); opens nothing.
"""

from __future__ import annotations

import heapq
import re
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

from framewire.client.errors import InputError

from .as_shown import AsShown
from .pictures import Size

_ERRORS_IN_A_ROW = 100
_INEXACT = Fraction(1, 50)
"""Of the pictures that a track's length promises: it is no count of them."""
_OUTPUT_CORRUPT = 1 << 3  # AV_CODEC_FLAG_OUTPUT_CORRUPT
_WITH_ALPHA = {"vp8": "libvpx", "vp9": "libvpx-vp9"}  # FFmpeg's own decoders leave it out


class Decoding:
    """The picture track of a container.

    Attributes:
        stream: that track.
        shown: what turns its frames into pictures.
        packets: read so far, the damaged ones included.
        bad: how many of them could not be decoded.

    Raises:
        InputError: it has no such track, or nothing decodes it.
    """

    def __init__(self, container: Any, name: str, covers: Size | None = None) -> None:
        if not container.streams.video:
            raise InputError(f"{name} has no picture track")
        self.stream = container.streams.video[0]
        self.shown = AsShown(covers)
        self.packets = self.bad = 0
        self._container = container
        self._decoder = _decoder(self.stream, name)
        self._gaps: list[Fraction] = []

    def frames(self) -> Iterator[Any]:
        """Every frame that can be decoded, in rgb24, in the order of showing."""
        for frame in self._decoded():
            frame.time_base = self.stream.time_base  # which a decoder that is drained forgets
            yield from self.shown.take(frame, self._aspect)
        yield from self.shown.rest()

    def size(self) -> Size | None:
        """Width and height of the first picture, as shown; None where none can be decoded."""
        first = next(self._decoded(), None)
        return None if first is None else self.shown.size(first, self._aspect)

    def since_start(self, frame: Any, otherwise: Fraction) -> Fraction:
        """When a frame is shown, in seconds since the first of the track, as far as the file tells."""
        if frame.pts is None:
            return otherwise
        return Fraction(frame.pts * frame.time_base) - self._begins

    def gaps_before(self, at: Fraction) -> Iterator[Fraction]:
        """The times before `at`, in seconds, of pictures that could not be decoded, each once."""
        while self._gaps and self._gaps[0] < at:
            yield heapq.heappop(self._gaps)

    def indexed(self) -> int | None:
        """How many pictures the index tells of; None where there is none, or of key frames only."""
        return len(self.stream.index_entries) if "mp4" in self._container.format.name else None

    def missing(self, step: Fraction) -> int:
        """How many pictures the file promises that were not even there to read. After the end.

        Args:
            step: seconds from one picture to the next.
        """
        if (indexed := self.indexed()) is not None:
            return max(0, indexed - self.packets)
        promised = round(self._tagged_seconds() / step)
        missing = promised - self.packets
        return missing if missing > promised * _INEXACT + 1 else 0

    @property
    def _begins(self) -> Fraction:
        return Fraction((self.stream.start_time or 0) * self.stream.time_base)

    @property
    def _aspect(self) -> float:
        return float(self.stream.sample_aspect_ratio or 1)

    def _tagged_seconds(self) -> Fraction:
        """How long Matroska's tags say that the track is; 0 where they don't."""
        tags = {key.upper(): value for key, value in self.stream.metadata.items()}
        found = re.fullmatch(r"(\d+):(\d+):(\d+(?:\.\d+)?)", tags.get("DURATION", ""))
        if found is None:
            return Fraction(0)
        hours, minutes, seconds = map(Fraction, found.groups())
        return 3600 * hours + 60 * minutes + seconds - self._begins

    def _decoded(self) -> Iterator[Any]:
        import av

        for packet in self._demuxed():
            try:
                yield from self._decoder.decode(packet if packet.size else None)
            except (av.error.FFmpegError, ValueError):
                self.bad += 1
                if packet.pts is not None:
                    heapq.heappush(self._gaps, packet.pts * packet.time_base)

    def _demuxed(self) -> Iterator[Any]:
        """The packets, ending with an empty one that drains the decoder."""
        import av

        failed = 0
        while failed < _ERRORS_IN_A_ROW:
            try:
                for packet in self._container.demux(self.stream):
                    failed = 0
                    self.packets += packet.size > 0
                    yield packet
                return
            except (av.error.FFmpegError, OSError, ValueError):
                failed += 1
        yield av.Packet()


def _decoder(stream: Any, name: str) -> Any:
    import av

    context = stream.codec_context
    if context is None:
        raise InputError(f"{name} is of a kind that is not known here", hint="convert it to H.264")
    tags = {key.lower(): value for key, value in stream.metadata.items()}
    if tags.get("alpha_mode") == "1" and context.name in _WITH_ALPHA:
        try:
            return av.CodecContext.create(_WITH_ALPHA[context.name], "r")
        except av.codec.codec.UnknownCodecError:
            return context
    if context.name == "hevc":  # which else leaves out all frames behind a missing one
        context.flags |= _OUTPUT_CORRUPT
    return context
