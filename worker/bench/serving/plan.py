"""What the serving bench is to measure. Plain values: loads nothing that is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

CONTENTS: Final = ("card", "natural")


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        sessions: viewers at once, a measurement each.
        contents: what is streamed, a measurement each.
        frames: over all sessions, in each measurement.
        memory_frames: after how many frames, counted from the first, memory is read.
        saved_frames: received and saved by the client in each of `saving_times` runs.
    """

    width: int = 832
    height: int = 480
    sessions: Sequence[int] = (1, 16, 64)
    contents: Sequence[str] = CONTENTS
    frames: int = 2000
    memory_frames: Sequence[int] = (1000, 10000)
    saved_frames: int = 3000
    saving_times: int = 3
