"""Caches that streams take over from one another, each with what was recorded on it.

A recorded graph has the addresses of the cache that it works on, so both are kept together: a stream
that takes a cache which another has left replays at once.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .graphs import BlockGraphs
from .kv_cache import KVCache


@dataclass(frozen=True, eq=False)
class PooledCache:
    """A cache that one stream at a time has.

    Attributes:
        records: of work on it, if any is recorded.
    """

    cache: KVCache
    batch: int
    records: BlockGraphs | None


class CachePool:
    """The caches of one engine that no stream has now, and the way to one."""

    def __init__(self, make: Callable[[int, int], KVCache]) -> None:
        """Start without memory.

        Args:
            make: a cache of so many tokens in so many rows.
        """
        self._make = make
        self._idle: list[PooledCache] = []

    def take(self, tokens: int, batch: int, graphs: BlockGraphs | None) -> PooledCache:
        """An idle cache of this shape, else a new one; then idle ones of other shapes are let go.

        So no more is held than all streams that ran at once have needed. What an earlier stream
        wrote is still in it.

        Args:
            graphs: to record with; without, a cache is made for one stream alone.
        """
        for index, pooled in enumerate(self._idle):
            if (pooled.cache.tokens, pooled.batch) == (tokens, batch):
                return self._idle.pop(index)
        self._idle.clear()
        records = None if graphs is None else graphs.fresh()
        return PooledCache(self._make(tokens, batch), batch, records)

    def give_back(self, pooled: PooledCache) -> None:
        """Its stream is over. For any thread."""
        if pooled.records is not None:
            self._idle.append(pooled)
