"""The first frames of a cache, which are never evicted, and where in time their keys stand."""

from __future__ import annotations

from framewire.worker.engine.network.kv_cache import KVCache


class Sink:
    """The first `frames` frames of an appended context.

    Their keys are turned always from what they were at first, so that rounding does not add up.

    Attributes:
        at: the position of the first of them.
    """

    def __init__(self, cache: KVCache, frames: int, frame_tokens: int) -> None:
        self.frames = frames
        self.at = 0
        self._cache = cache
        self._tokens = frames * frame_tokens
        self._kept_at: int | None = None

    def written(self, at: int) -> None:
        """Its keys are new, and stand at `at`."""
        self.at, self._kept_at = at, None

    def move_to(self, position: int) -> None:
        """Turn its keys, once all are written, to where they would be at `position`."""
        if not self.frames or position == self.at:
            return
        if self._kept_at is None:
            self._cache.remember_first(self._tokens)
            self._kept_at = self.at
        self._cache.turn_first(position - self._kept_at)
        self.at = position
