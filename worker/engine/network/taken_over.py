"""Memory that streams take over from one another, each with what was recorded on it.

A recorded graph has the addresses of the memory that it works on, so both are kept together: a stream
that takes over what another has left replays at once.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Generic, TypeVar

from .graphs import BlockGraphs

T = TypeVar("T")


@dataclass(frozen=True, eq=False)
class Taken(Generic[T]):
    """What one stream at a time has.

    Attributes:
        shape: what streams that can take it over have in common.
        records: of work on it.
    """

    memory: T
    shape: Hashable
    records: BlockGraphs


class TakenOver(Generic[T]):
    """What no stream has now, and the way to it."""

    def __init__(self) -> None:
        self._idle: list[Taken[T]] = []

    def take(self, shape: Hashable, make: Callable[[], T], graphs: BlockGraphs) -> Taken[T]:
        """What is idle of this shape, else something new; then what is idle of others is let go.

        So no more is held than all streams that ran at once have needed. What an earlier stream
        wrote is still in it.

        Args:
            graphs: to record with.
        """
        for index, taken in enumerate(self._idle):
            if taken.shape == shape:
                return self._idle.pop(index)
        self._idle.clear()
        return Taken(make(), shape, graphs.fresh())

    def give_back(self, taken: Taken[T]) -> None:
        """Its stream is over. For any thread."""
        self._idle.append(taken)
