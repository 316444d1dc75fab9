"""What is read off a serving process from inside: its CPU time, memory and deliveries.

Counts blocks as their last byte is sent; knows neither sessions nor the plain way.
"""

from __future__ import annotations

import resource
import sys
import threading
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path

from framewire.worker.runtime.metrics import Metrics


@dataclass(frozen=True, slots=True)
class Window:
    """What happened between two moments of one serving process.

    Attributes:
        cpu_seconds: of all threads of the process.
        delivery_seconds: of each block, from its being ready to its last byte sent.
        memory_mb: resident at the end.
    """

    blocks: int
    seconds: float
    cpu_seconds: float
    delivery_seconds: tuple[float, ...]
    memory_mb: float


class Deliveries:
    """Counts the blocks that were delivered, and lets a thread wait for more."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._recent: deque[float] = deque(maxlen=4096)

    def add(self, seconds: float) -> None:
        """One more, `seconds` after it was ready."""
        with self._changed:
            self._count += 1
            self._recent.append(seconds)
            self._changed.notify()

    def window(self, blocks: int, timeout: float) -> Window:
        """What the next `blocks` deliveries cost.

        Raises:
            TimeoutError: they took longer than `timeout` seconds.
        """
        with self._changed:
            first = self._count
            began, cpu = time.perf_counter(), time.process_time()
            if not self._changed.wait_for(lambda: self._count >= first + blocks, timeout):
                raise TimeoutError(f"{self._count - first} of {blocks} blocks in {timeout:g} s")
            passed, cpu = time.perf_counter() - began, time.process_time() - cpu
            count = self._count - first
            return Window(count, passed, cpu, tuple(self._recent)[-count:], memory_mb())


class CountingMetrics(Metrics):
    """A worker's metrics that also count deliveries here."""

    def __init__(self, deliveries: Deliveries) -> None:
        super().__init__()
        self._deliveries = deliveries

    def observe(self, stage: str, seconds: float) -> None:
        super().observe(stage, seconds)
        if stage == "delivery":
            self._deliveries.add(seconds)


def memory_mb() -> float:
    """Resident memory of this process; where there is no /proc, the most that it ever was."""
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * resource.getpagesize() / 1e6
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak / 1e3
