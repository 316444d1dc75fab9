"""The pictures of a video file, here or on a web server, one JPEG at a time.

What is damaged is left out, and counted at the end: nothing is repeated for it.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

from framewire.client.errors import InputError, in_words

from .decoding import Decoding
from .pace import Pace, pace_of, paced
from .pictures import Size, Unusable, encoded
from .pyav import load_av
from .sources.framing import AS_IT_IS, Framing
from .sources.naming import Named
from .sources.opened import opened

_LITTLE = Fraction(1, 10)
"""Of a video's pictures; where fewer can be decoded it has failed."""
_WITHOUT_RANGES = (
    "or its server takes no ranges, and its index is at its end: ffmpeg -i in.mp4 -c copy "
    "-movflags +faststart out.mp4 puts it first"
)
_SAME = 0.001
"""Of a rate, by which another may differ from it and be the same."""
_PROBED, _PROBED_AFAR = 5000, 250
"""Packets whose times are looked at before; those of a file on the web have to come first."""


@dataclass(frozen=True, slots=True)
class Timed:
    """One picture of a video.

    Attributes:
        jpeg: as shown.
        at: when, in seconds by the clock of the video since its first picture.
    """

    jpeg: bytes
    at: float


@dataclass(frozen=True, slots=True)
class Probed:
    """What is known of a video before it is read.

    Attributes:
        fps: of the pictures given out.
        size: width and height of the pictures given out, in pixels.
        total: how many pictures its index tells of, where one does.
        notes: what is dropped or changed, in words.
        has_sound: whether it has a sound track.
    """

    fps: float
    size: tuple[int, int]
    total: int | None
    notes: tuple[str, ...]
    has_sound: bool


def probe(
    place: Path | Named,
    framing: Framing = AS_IT_IS,
    fps: float | None = None,
    *,
    with_sound: bool = False,
) -> Probed:
    """What a video is, from its beginning. Blocks.

    Args:
        framing: what of its pictures is used.
        fps: the rate that it is to be brought to; None for its own.
        with_sound: its sound is used, too.

    Raises:
        InputError: it is no video that can be read, or nothing of it can be decoded.
    """
    name = _name(place)
    with opened_clip(place) as container:
        decoding = Decoding(container, name, framing.covers(None))
        whole = decoding.size()
        if whole is None:
            hint = "" if isinstance(place, Path) else _WITHOUT_RANGES
            raise InputError(f"{name} is damaged: no picture of it can be decoded", hint=hint)
        total = decoding.indexed()
        notes = list(decoding.shown.changes)
        has_sound = bool(container.streams.audio)
        if has_sound and not with_sound:
            notes.insert(0, "its sound is left out")
    size = framing.shape(whole, name)
    pace = _pace(place, fps)
    if not pace.is_even:
        why = "" if fps else "its frame rate varies: "
        notes.append(f"{why}resampled to {pace.fps:.4g} fps")
        total = None  # of what it is resampled to
    return Probed(pace.fps, size, total, tuple(notes), has_sound)


def video_pictures(
    place: Path | Named,
    covers: Size | None,
    framing: Framing = AS_IT_IS,
    fps: float | None = None,
) -> Iterator[Timed | Unusable]:
    """Each picture, as shown; at the end, what could not be decoded. Blocks.

    Args:
        covers: width and height that the stream is known to have.
        framing: what of the pictures is used, and how it fills the stream.
        fps: the rate that they are brought to; None for their own.

    Raises:
        InputError: it cannot be read, or little of it can be decoded.
    """
    pace = _pace(place, fps)
    decoded, at = 0, Fraction(0)
    with opened_clip(place) as container:
        decoding = Decoding(container, _name(place), framing.covers(covers))
        for decoded, (frame, count) in enumerate(paced(decoding, pace), 1):  # noqa: B007
            picture = b""
            if count:
                picture = encoded(framing.applied(frame.to_image(), covers), covers)
            at = decoding.since_start(frame, at)
            for number in range(count):
                yield Timed(picture, float(at + number * pace.step))
            at += max(1, count) * pace.step
        missing = decoding.missing(pace.step) if pace.is_even else 0
        damaged = decoding.bad or missing
        lost = max(decoding.bad, decoding.packets - decoded) if damaged else 0
    name = place.name if isinstance(place, Path) else place.shown
    if lost:
        yield Unusable(name, "damaged pictures were left out", lost)
    if missing:
        yield Unusable(name, "pictures are missing from the file", missing)
    if decoded < (decoded + lost + missing) * _LITTLE:
        total = decoded + lost + missing
        raise InputError(f"{_name(place)} is damaged: {decoded} of {total} pictures can be decoded")


def _pace(place: Path | Named, fps: float | None) -> Pace:
    with opened_clip(place) as container:
        own = pace_of(container, _PROBED if isinstance(place, Path) else _PROBED_AFAR)
    if fps is None or (own.is_even and abs(own.fps - fps) < _SAME * fps):
        return own
    return Pace(1 / Fraction(fps).limit_denominator(1001), is_even=False)


def _name(place: Path | Named) -> str:
    return str(place) if isinstance(place, Path) else place.shown


@contextlib.contextmanager
def opened_clip(place: Path | Named) -> Iterator[Any]:
    """A container with its picture track, closed at the end.

    Raises:
        InputError: it is no video that can be read.
    """
    if isinstance(place, Named):
        with opened(place) as container:
            yield container
        return
    av = load_av(str(place))
    with contextlib.ExitStack() as kept:
        try:
            file = kept.enter_context(place.open("rb"))
            # As an open file, because FFmpeg takes the beginning of `take:1.mp4` for a protocol.
            # What a playlist names is not opened.
            container = av.open(file, options={"protocol_whitelist": ""})
            kept.enter_context(container)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise InputError(f"{place} is no video that can be read: {in_words(error)}") from error
        yield container
