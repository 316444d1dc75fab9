"""Sound read ahead by a thread of its own: who plays it waits no longer than it wants to."""

from __future__ import annotations

import logging
import math
import threading
from collections import deque
from collections.abc import Iterator

from framewire.client.errors import InputError
from framewire.client.live_input.sources.sound import SoundPiece

logger = logging.getLogger(__name__)

_MOST_PIECES = 100


class SoundAhead:
    """Pieces in order; a hundred of them, some seconds, are read ahead.

    Args:
        pieces: what reads them, and may block.

    Attributes:
        failure: why no more could be read, if so.
    """

    def __init__(self, pieces: Iterator[SoundPiece]) -> None:
        self.failure: str | None = None
        self._pieces = pieces
        self._waiting: deque[SoundPiece] = deque()
        self._changed = threading.Condition()
        self._has_ended = self._is_closed = False
        threading.Thread(target=self._read, name="read sound", daemon=True).start()

    @property
    def is_over(self) -> bool:
        """Whether no more comes."""
        with self._changed:
            return self._has_ended and not self._waiting

    @property
    def newest(self) -> float:
        """When the newest piece begins that is there, in seconds by the source's clock."""
        with self._changed:
            return self._waiting[-1].at if self._waiting else -math.inf

    def next(self, timeout: float | None = 0.0) -> SoundPiece | None:
        """The next piece; None where none has come.

        Args:
            timeout: seconds to wait for it; None: until it comes or none can any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._has_ended, timeout)
            if not self._waiting:
                return None
            self._changed.notify_all()
            return self._waiting.popleft()

    def wait(self, timeout: float) -> None:
        """Until a piece is there, or none comes any more, for so many seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._waiting or self._has_ended, timeout)

    def close(self) -> None:
        """Read no more."""
        with self._changed:
            self._is_closed = self._has_ended = True
            self._waiting.clear()
            self._changed.notify_all()

    def _read(self) -> None:
        try:
            for piece in self._pieces:
                with self._changed:
                    self._changed.wait_for(
                        lambda: self._is_closed or len(self._waiting) < _MOST_PIECES
                    )
                    if self._is_closed:
                        return
                    self._waiting.append(piece)
                    self._changed.notify_all()
        except InputError as error:
            self.failure = error.reason
        except Exception as error:  # noqa: BLE001 (its text may name a URL with a password)
            logger.error("reading sound failed: %s", type(error).__name__)
            self.failure = type(error).__name__
        finally:
            with self._changed:
                self._has_ended = True
                self._changed.notify_all()
