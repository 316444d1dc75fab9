"""The sound of a source, in one form, with the times by which it is laid under the pictures.

Sixteen bits, stereo, 48 kHz: what every encoder takes. Keeps a few seconds of what is live.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

SOUND_RATE = 48_000
SOUND_FORMAT, SOUND_LAYOUT = "s16", "stereo"
_MOST_SECONDS = 30.0


@dataclass(frozen=True, slots=True)
class SoundPiece:
    """Some milliseconds of sound.

    Attributes:
        frame: a PyAV `AudioFrame`, s16 interleaved, stereo, 48 kHz.
        at: when it begins, in seconds: of a clip since its first picture, of what is live by
            `time.monotonic()`, as the `at` of its pictures. What a live source had kept when it was
            opened comes at once, with times that overlap.
    """

    frame: Any
    at: float

    @property
    def seconds(self) -> float:
        return float(self.frame.samples / SOUND_RATE)


class Resampled:
    """Turns decoded frames of one track into pieces of that form."""

    def __init__(self) -> None:
        self._resampler: Any = None
        self._begins: float | None = None
        self._made = 0

    def take(self, frame: Any) -> Iterator[tuple[Any, float]]:
        """Frames of the form, and when each begins by the source's own clock, in seconds."""
        import av

        at = None if frame.pts is None else float(frame.pts * frame.time_base)
        due = None if self._begins is None else self._begins + self._made / SOUND_RATE
        if at is not None and (due is None or abs(at - due) > 0.1):  # the clock has jumped
            self._resampler, self._begins, self._made = None, at, 0
        if self._resampler is None:
            self._resampler = av.AudioResampler(SOUND_FORMAT, SOUND_LAYOUT, SOUND_RATE)
        frame.pts = None  # it would fill what it takes for gaps
        for made in self._resampler.resample(frame):
            begins = (self._begins or 0.0) + self._made / SOUND_RATE
            self._made += made.samples
            yield made, begins


class SoundBuffer:
    """What was heard last: thirty seconds at most, the oldest goes first. Each who iterates gets all
    of it, from the oldest that is there on, and what comes, until no more does."""

    def __init__(self) -> None:
        self._pieces: deque[SoundPiece] = deque()
        self._samples = 0
        self._gone = 0  # pieces that were there before those
        self._changed = threading.Condition()
        self._is_over = False

    def put(self, piece: SoundPiece) -> None:
        """The next one."""
        with self._changed:
            self._pieces.append(piece)
            self._samples += piece.frame.samples
            while self._samples > _MOST_SECONDS * SOUND_RATE:
                self._samples -= self._pieces.popleft().frame.samples
                self._gone += 1
            self._changed.notify_all()

    def finish(self) -> None:
        """No more comes."""
        with self._changed:
            self._is_over = True
            self._changed.notify_all()

    def __iter__(self) -> Iterator[SoundPiece]:
        """Each in turn. Blocks."""
        number = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: number < self._count or self._is_over)  # noqa: B023
                number = max(number, self._gone)
                if number == self._count:
                    return
                piece = self._pieces[number - self._gone]
            number += 1
            yield piece

    @property
    def _count(self) -> int:
        return self._gone + len(self._pieces)
