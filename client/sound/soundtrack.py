"""What is to be heard beside each picture that is shown. Knows no encoder, no file and no network.

It goes on by itself, sample after sample, as long as that is where the pictures are: sound that has
got ahead of them waits in silence, and sound that has fallen behind leaves out what was missed.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Literal, Protocol

from framewire.client.live_input.sources.sound import SOUND_RATE, SoundPiece

from .ahead import SoundAhead
from .samples import SAMPLE_BYTES

APART, BEHIND = 0.1, 0.25
"""Seconds by which sound may be ahead of its pictures or behind them, the latter where no more of it
has come: below a block of any model."""
OVERDUE = 0.5
"""Seconds after the picture of what is live, for which its sound is waited for at most."""
_HANDING_ON = 0.01  # seconds for the thread that reads
_SLACK = SOUND_RATE // 1000
"""Samples by which a piece may be off and still follow on what is there: rounded times."""


class Sounding(Protocol):
    """A `Source`, as far as it is heard."""

    @property
    def policy(self) -> Literal["newest", "all"]:
        """Of what is live the newest counts, of a clip all."""
        ...

    def sound(self, since: float = 0.0) -> Iterator[SoundPiece]:
        """See `Source`."""
        ...


class Soundtrack:
    """The sound of a source beside pictures made from it, in one output.

    Args:
        source: whose sound it is; read by a thread from the first picture on, until this is closed.
    """

    def __init__(self, source: Sounding) -> None:
        self._source = source
        self._is_live = source.policy == "newest"
        self._pieces: SoundAhead | None = None
        self._held: tuple[int, bytes] | None = None  # the sample at which it begins
        self._due = 0  # the sample that is heard next, by the source's clock
        self._is_paused = False

    @property
    def failure(self) -> str | None:
        """Why no more could be read, if so; silence follows."""
        return None if self._pieces is None else self._pieces.failure

    def beside(self, at: float | None, samples: int, *, waits: bool) -> bytes:
        """So many samples, silent where there is no sound.

        Args:
            at: seconds by the clock of the source's sound at which the picture is that is shown
                beside them, as `Frame.source_at`; None to go on.
            waits: for sound that has not come yet: of a clip for all of it, of what is live until
                half a second after its picture. Else that of a clip is left out, and what is live is
                heard later from then on, by as much as it may be behind.
        """
        pieces = self._begun(at)
        self._follow(at, waits or (at is not None and pieces.newest >= at))
        made = b"" if self._is_paused else self._played(pieces, samples, waits)
        return made.ljust(samples * SAMPLE_BYTES, b"\0")

    def wait(self, at: float | None, timeout: float) -> None:
        """Begin beside a picture, and wait until there is sound, for so many seconds at most."""
        self._begun(at).wait(timeout)

    def close(self) -> None:
        """Read no more."""
        if self._pieces is not None:
            self._pieces.close()

    def _begun(self, at: float | None) -> SoundAhead:
        if self._pieces is None:
            if at is None:
                at = time.monotonic() if self._is_live else 0.0
            self._due = round(at * SOUND_RATE)
            self._pieces = SoundAhead(self._source.sound(at))
        return self._pieces

    def _follow(self, at: float | None, has_come: bool) -> None:
        if at is not None:
            ahead = self._due / SOUND_RATE - at
            if ahead < -(APART if has_come else BEHIND):
                self._due = round(at * SOUND_RATE)
            self._is_paused = ahead > (0 if self._is_paused else APART)

    def _played(self, pieces: SoundAhead, samples: int, waits: bool) -> bytes:
        made = bytearray()
        while missing := samples - len(made) // SAMPLE_BYTES:
            found = self._held or self._read(pieces, missing, waits)
            if found is None:
                if waits or not self._is_live:  # it is not played later
                    self._due += missing
                break
            begins, data = found
            if abs(begins - self._due) <= _SLACK:
                begins = self._due
            if begins > self._due:
                self._held = begins, data
                part = bytes(min(missing, begins - self._due) * SAMPLE_BYTES)
            else:
                data = data[(self._due - begins) * SAMPLE_BYTES :]
                part, rest = data[: missing * SAMPLE_BYTES], data[missing * SAMPLE_BYTES :]
                self._held = (self._due + missing, rest) if rest else None
            made += part
            self._due += len(part) // SAMPLE_BYTES
        return bytes(made)

    def _read(self, pieces: SoundAhead, missing: int, waits: bool) -> tuple[int, bytes] | None:
        """The next piece, and the sample at which it begins."""
        timeout: float | None = 0.0
        if waits and self._is_live:
            overdue = (self._due + missing) / SOUND_RATE + OVERDUE
            timeout = max(_HANDING_ON, overdue - time.monotonic())
        elif waits:
            timeout = None
        piece = pieces.next(timeout)
        if piece is None:
            return None
        data = bytes(piece.frame.planes[0])[: piece.frame.samples * SAMPLE_BYTES]
        return round(piece.at * SOUND_RATE), data
