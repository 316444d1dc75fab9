"""Times the stages of blocks: on a GPU by events, elsewhere by the clock.

A stage counts for whoever collects on the same thread, so that stages of two blocks that overlap
on two threads are told apart. Events are read only when somebody asks, so that nothing waits.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch

from framewire.worker.engine.interfaces import Stage


class Spent:
    """Stages that were passed, in order; milliseconds once the device is done with them."""

    def __init__(self) -> None:
        self._marks: list[tuple[str, Any, Any]] = []

    def add(self, stage: str, start: Any, end: Any) -> None:
        """One stage: two events, or two readings of the clock in seconds."""
        self._marks.append((stage, start, end))

    def extend(self, other: Spent) -> None:
        """What another has, after one's own."""
        self._marks.extend(other._marks)

    def passes(self) -> list[tuple[str, float]]:
        """Each stage and its milliseconds; repeated stages stand one by one."""
        return [
            (stage, (end - start) * 1000 if isinstance(end, float) else start.elapsed_time(end))
            for stage, start, end in self._marks
        ]

    def total(self) -> Mapping[str, float]:
        """Milliseconds by stage, repeated ones added up."""
        sums: dict[str, float] = {}
        for stage, ms in self.passes():
            sums[stage] = sums.get(stage, 0.0) + ms
        return sums


class StageClock:
    """The `StageTimer` of one stream."""

    def __init__(self, device: torch.device) -> None:
        self._cuda = device.type == "cuda"
        self._local = threading.local()

    @contextmanager
    def __call__(self, stage: Stage) -> Iterator[None]:
        """Time one stage for who collects on this thread."""
        start = self._now()
        yield
        spent: Spent | None = getattr(self._local, "spent", None)
        if spent is not None:
            spent.add(stage, start, self._now())

    @contextmanager
    def collecting(self) -> Iterator[Spent]:
        """Collect what this thread passes inside."""
        self._local.spent = spent = Spent()
        try:
            yield spent
        finally:
            self._local.spent = None

    def _now(self) -> Any:
        if not self._cuda:
            return time.perf_counter()
        cuda: Any = torch.cuda
        event = cuda.Event(enable_timing=True)
        event.record()
        return event
