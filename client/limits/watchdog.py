"""Notices when a stream has gone silent.

A timer looks at the clock now and then, so that hearing a message costs one assignment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from framewire.client.errors import StallError
from framewire.protocol import (
    BlockDone,
    Completed,
    Error,
    Frame,
    FromWorker,
    Params,
    Queued,
    Started,
)

REPEATS_AFTER = 10.0
"""Seconds after which a worker that lacks pictures goes on with the newest one."""
PLACE_SECONDS = 3600.0
"""For which a place in the line may come no nearer: as long as a stream may last at a worker."""
_BLOCKS_WITHOUT_FRAMES = 16
"""More than any model's delay between a block's making and its frames."""
_FRAMES_A_BLOCK = 12  # a paced worker may be silent for as long as one block plays


class Watchdog:
    """Calls `on_stall` once, when a stream was silent for too long.

    Args:
        frame_timeout: seconds without a message; None for no limit.
        first_frame_timeout: the same, until the first message after the params.
        on_stall: takes the error.
    """

    def __init__(
        self,
        frame_timeout: float | None,
        first_frame_timeout: float | None,
        on_stall: Callable[[StallError], None],
    ) -> None:
        self._frame_timeout = frame_timeout
        self._first_frame_timeout = first_frame_timeout
        self._on_stall = on_stall
        self._timer: asyncio.TimerHandle | None = None
        self._alive_at = 0.0
        self._waiting = False  # for the first message
        self._queued = False
        self._place: int | None = None  # in the worker's line
        self._has_frames = False
        self._empty_blocks = 0
        self._held = 0
        self._grace = 0.0
        self._live = False
        self._pictures = 0

    def start(self, params: Params) -> None:
        """A stream was asked for."""
        self._waiting = True
        self._await_place()
        self._empty_blocks = 0
        self._live, self._pictures = bool(params.webcam_mode), 0
        self._grace = _FRAMES_A_BLOCK / params.fps if params.fps else 0.0
        self._arm()

    def resume(self) -> None:
        """A stream goes on that was not asked for with params (after a reset, say)."""
        if self._timer is None:
            self._await_place()
            self._arm()

    def _await_place(self) -> None:
        self._queued, self._place, self._has_frames = False, None, False

    def stop(self) -> None:
        """Nothing is due any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def heard(self, message: FromWorker) -> None:
        """The worker said something, which counts if it brings the stream on.

        Words alone can be said for ever: a start counts once, a place in the line if no frame has
        come and it is nearer than the one before, a block without frames a few times.
        """
        if not self._is_progress(message):
            return
        self._alive_at = self._now()
        self._queued = isinstance(message, Queued)
        if self._waiting:
            self._waiting = False
            self._arm()  # the limit is another one from here on

    def _is_progress(self, message: FromWorker) -> bool:
        match message:
            case Frame():
                self._empty_blocks, self._has_frames = 0, True
                return True
            case Completed() | Error():
                return True
            case Started():
                return self._waiting or self._queued
            case Queued():
                nearer = self._place is None or message.position < self._place
                nearer = nearer and not self._has_frames
                self._place = message.position if nearer else self._place
                return nearer
            case BlockDone():
                self._empty_blocks += 1
                return self._empty_blocks <= _BLOCKS_WITHOUT_FRAMES
        return False

    def sent_picture(self) -> None:
        """The stream is live, and the worker has one picture more to make frames from."""
        self._live = True
        self._pictures += 1
        self._alive_at = self._now()

    def hold(self) -> None:
        """The reader is slow: silence is ours until `release`."""
        self._held += 1

    def release(self) -> None:
        self._held -= 1
        self._alive_at = self._now()

    def _limit(self) -> float | None:
        """Seconds of silence allowed now; None where silence is no sign of anything."""
        no_pictures = self._live and self._pictures == 0
        base = self._first_frame_timeout if self._waiting else self._frame_timeout
        if base is None or self._held or no_pictures:
            return None
        if self._queued:
            return PLACE_SECONDS
        return base + self._grace + (REPEATS_AFTER if self._live else 0.0)

    def _arm(self) -> None:
        self.stop()
        self._alive_at = self._now()
        self._look_in(self._limit())

    def _look_in(self, seconds: float | None) -> None:
        delay = 1.0 if seconds is None else max(seconds, 0.001)
        self._timer = asyncio.get_running_loop().call_later(delay, self._look)

    def _look(self) -> None:
        limit = self._limit()
        silence = self._now() - self._alive_at
        if limit is None or silence < limit:
            self._look_in(None if limit is None else limit - silence)
            return
        self._timer = None
        what = "no answer to the params" if self._waiting else "no frame"
        what = "no nearer place in the line" if self._queued else what
        self._on_stall(StallError(f"{what} for {silence:.1f} s"))

    def _now(self) -> float:
        return asyncio.get_running_loop().time()
