"""The sound beside each tick of a live sink's clock. Knows neither clock nor encoder."""

from __future__ import annotations

from framewire.client.frames import Frame
from framewire.client.live_input.sources.sound import SOUND_RATE
from framewire.client.savers.decoding import rate_of
from framewire.client.sound import Sounding, Soundtrack

_FIRST_SOUND = 1.0  # seconds


class TickSound:
    """The sound of a source, a tick at a time.

    Args:
        source: was opened with its sound.
        fps: ticks a second.
    """

    def __init__(self, source: Sounding, fps: float) -> None:
        self._is_live = source.policy == "newest"
        self._rate = rate_of(fps)
        self._track = Soundtrack(source)
        self._source_at: float | None = None  # of the frame that is shown

    def wait(self, frame: Frame | None) -> None:
        """Before a clock begins: until there is sound, for a second at most.

        Args:
            frame: the next one, if there is one.
        """
        self._track.wait(None if frame is None else frame.source_at, _FIRST_SOUND)

    def beside(self, tick: int, frame: Frame | None) -> bytes:
        """The sound from this tick to the next, as `Soundtrack` gives it; silence where there is none.

        Args:
            frame: what is shown; None repeats the last one. A clip's sound waits then, and what is
                live goes on, as what was to be seen is not shown later either.
        """
        if frame is not None:
            self._source_at = frame.source_at
        at = None if frame is None and self._is_live else self._source_at
        begins, ends = (round(one * SOUND_RATE / self._rate) for one in (tick, tick + 1))
        return self._track.beside(at, ends - begins, waits=False)

    def close(self) -> None:
        """Read no more."""
        self._track.close()
