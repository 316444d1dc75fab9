"""A stream's pace: how many frames a second it is sent, and how early its blocks are made.

A paced stream's block is begun just in time for its first frame to be sent behind the last one of
the block before. What is made early shows nothing of what the viewer changes meanwhile. Knows
neither outbox nor socket.
"""

from __future__ import annotations

from collections import deque

from framewire.protocol import Params

_RECENT = 4
"""Blocks by whose making it is judged how long the next one takes."""
_MARGIN = 1.25
"""By how much longer it may take without the stream falling behind, beside the time of a frame."""


def pace_for(
    params: Params, *, browser: bool, events: bool, page_fps: float | None, preset_fps: float
) -> float:
    """Frames a second that a stream is sent; 0 for as fast as it is read.

    Args:
        params: those in force; what they say counts.
        browser: the viewer is a web page, which cannot push back: what it does not draw in time
            waits in its memory.
        events: the viewer asked for events, so it knows what it does.
        page_fps: the operator's pace for pages; None for the preset's, 0 for none.
    """
    if params.fps is not None:
        return params.fps
    if not browser or events:
        return 0.0
    return preset_fps if page_fps is None else page_fps


class Pace:
    """The pace of one session's streams.

    Attributes:
        fps: frames a second; 0 for as fast as they are read.
    """

    def __init__(self) -> None:
        self.fps = 0.0
        self._took: deque[float] = deque(maxlen=_RECENT)
        self._block_frames = 0

    def saw_block(self, frames: int, seconds: float) -> None:
        """A block has come to so many frames, `seconds` after it was begun."""
        self._took.append(seconds)
        self._block_frames = frames or self._block_frames

    def is_due(self, unsent: int, making: int) -> bool:
        """Whether the next block is to be begun now.

        Args:
            unsent: frames that wait to be sent.
            making: blocks that are being made.
        """
        if not self.fps:
            return True
        if not self._block_frames:
            return not making
        ahead = (unsent + making * self._block_frames) / self.fps
        return ahead <= self._lead()

    def _lead(self) -> float:
        """Seconds before it is due at which a block is begun.

        No more than one block plays, however long a single one took; only where each of them takes
        longer must another be on its way meanwhile.
        """
        frame, plays = 1 / self.fps, self._block_frames / self.fps
        return min(_MARGIN * max(self._took) + frame, max(plays, min(self._took)))
