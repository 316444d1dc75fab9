"""Threads that work for many callers, so that none of them waits for all that another one wants.

Of those who wait, the one whose calls have taken the least time goes next. The threads
are daemons: a process that ends does not wait for what they are at.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from typing import Any, TypeVar

T = TypeVar("T")

_Job = tuple["Future[Any]", Callable[[], Any]]


class FairThreads:
    """Runs calls on `count` threads, the calls of each caller in the order in which they came.

    Args:
        nice: by how much the threads yield to the process's other ones, where the system can.
    """

    def __init__(self, count: int, name: str, *, nice: int = 0) -> None:
        self._nice = nice
        self._changed = threading.Condition()
        self._waiting: dict[Hashable, deque[_Job]] = {}
        # Seconds by caller, as in fair queueing: who has waited for nothing begins at `_now`,
        # what the last one to be served had, so that idling saves nothing up.
        self._taken: dict[Hashable, float] = {}
        self._now = 0.0
        self._closed = False
        for number in range(count):
            thread = threading.Thread(target=self._work, name=f"{name}-{number}", daemon=True)
            thread.start()

    def submit(self, caller: Hashable, call: Callable[[], T]) -> Future[T]:
        """Run `call` in its turn. A future that is cancelled before that is passed over."""
        future: Future[T] = Future()
        with self._changed:
            if self._closed:
                raise RuntimeError("the threads are closed")
            self._waiting.setdefault(caller, deque()).append((future, call))
            self._changed.notify()
        return future

    def close(self) -> None:
        """Start nothing more; what waits is cancelled, what runs is not waited for."""
        with self._changed:
            self._closed = True
            for jobs in self._waiting.values():
                for future, _ in jobs:
                    future.cancel()
            self._waiting.clear()
            self._changed.notify_all()

    def _work(self) -> None:
        if self._nice and sys.platform == "linux":  # where priorities are threads' own
            thread = threading.get_native_id()
            now = os.getpriority(os.PRIO_PROCESS, thread)
            os.setpriority(os.PRIO_PROCESS, thread, now + self._nice)
        while (found := self._next()) is not None:
            caller, (future, call) = found
            del found
            if not future.set_running_or_notify_cancel():
                del future, call  # which may hold a picture
                continue
            began = time.monotonic()
            try:
                result = call()
            except BaseException as error:  # noqa: BLE001 it is the caller's
                self._charge(caller, time.monotonic() - began)
                future.set_exception(error)
            else:
                self._charge(caller, time.monotonic() - began)
                future.set_result(result)
                del result
            del future, call  # a thread that waits holds nobody's pictures

    def _next(self) -> tuple[Hashable, _Job] | None:
        with self._changed:
            while not self._waiting and not self._closed:
                self._changed.wait()
            if self._closed:
                return None
            caller = min(self._waiting, key=self._level)
            self._now = max(self._now, self._level(caller))
            jobs = self._waiting[caller]
            job = jobs.popleft()
            if not jobs:
                del self._waiting[caller]
            return caller, job

    def _level(self, caller: Hashable) -> float:
        return max(self._taken.get(caller, 0.0), self._now)

    def _charge(self, caller: Hashable, seconds: float) -> None:
        with self._changed:
            self._taken[caller] = self._level(caller) + seconds
            for other in [each for each, taken in self._taken.items() if taken <= self._now]:
                del self._taken[other]
