"""How long each frame of a video is shown, and what that makes of it at an even rate.

A video is even if nearly all of its frames are shown for as long as each other: then each is one
picture, whatever its clock says (a damaged one jumps). Otherwise it is resampled by time: at each
step, the frame that shows then. Knows containers (PyAV), opens none.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from statistics import median
from typing import Any

from .decoding import Decoding

_FEW = 0.02
"""Of the frames of an even video, those that may be shown for longer or shorter."""
_MOST = 0.75
"""Of the frames; where so many are shown equally long, that is the step, however long the others."""
_ROUNDED = Fraction(1, 500)  # seconds: of times in milliseconds, both ways
_CLOSE = Fraction(1, 10)
_EARLY = Fraction(1, 4)
"""Of a step, by which a frame may come too late: some containers round times to milliseconds."""
_LONGEST = 60
"""Seconds between two frames beyond which a file's clock has jumped rather than gone on."""


@dataclass(frozen=True, slots=True)
class Pace:
    """Seconds from one picture to the next, and whether each frame is one picture."""

    step: Fraction
    is_even: bool

    @property
    def fps(self) -> float:
        return float(1 / self.step)


def pace_of(container: Any, most: int) -> Pace:
    """The pace of a container's first picture track, by its first packets, `most` of them."""
    stream = container.streams.video[0]
    rate = stream.average_rate or stream.guessed_rate
    said = 1 / Fraction(rate) if rate else None
    times = _times(container, most)
    gaps = [after - before for before, after in pairwise(times) if after > before]
    if not gaps:
        return Pace(said or Fraction(1, 25), True)
    usual = median(gaps)
    alike = [gap for gap in gaps if abs(gap - usual) <= usual / 2 + _ROUNDED]
    is_even = len(alike) >= (1 - _FEW) * len(gaps)
    counted = alike if len(alike) >= _MOST * len(gaps) else gaps
    mean = sum(counted, Fraction(0)) / len(counted)
    if said is None or abs(said - mean) > mean * _CLOSE + _ROUNDED:
        said = 1 / (1 / mean).limit_denominator(1001)
    return Pace(said, is_even)


def _times(container: Any, most: int) -> list[Fraction]:
    """When each of the first frames is shown, in seconds."""
    times: list[Fraction] = []
    with contextlib.suppress(ValueError, OSError):  # FFmpeg's errors are one or the other
        for packet in container.demux(video=0):
            if packet.size and packet.pts is not None:
                times.append(packet.pts * packet.time_base)
            if len(times) == most:
                break
    times.sort()
    if len(times) == most:
        del times[-16:]  # those that are shown between them may come later
    return times


def paced(decoding: Decoding, pace: Pace) -> Iterator[tuple[Any, int]]:
    """Each frame, and how many pictures it is."""
    if pace.is_even:
        for frame in decoding.frames():
            yield frame, 1
        return
    clock = Fraction(0)
    made = 0
    for frame, seconds in _lasting(decoding, pace.step):
        clock += seconds
        count = max(not made, -((made * pace.step - clock + _EARLY * pace.step) // pace.step))
        made += count
        yield frame, count


def _lasting(decoding: Decoding, step: Fraction) -> Iterator[tuple[Any, Fraction]]:
    """Each frame with the seconds for which it is shown, those of damaged packets cut out."""
    showing: Any = None
    since = Fraction(0)
    for frame in decoding.frames():
        at = since + step if frame.pts is None else frame.pts * frame.time_base
        if showing is not None:
            until = next(decoding.gaps_before(at), at)
            yield showing, until - since if 0 < until - since <= _LONGEST else step
        list(decoding.gaps_before(at))
        showing, since = frame, at
    if showing is not None:
        last = (showing.duration or 0) * showing.time_base
        yield showing, last if 0 < last <= _LONGEST else step
