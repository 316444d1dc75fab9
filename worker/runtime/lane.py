"""The lane: the one thread that backends run on, and the order between sessions.

A session has at most one call in the lane, so first come, first served gives every live
session its block in turn, and one that waits for input or for a slow reader holds nothing up.
A call that hangs cannot be stopped from outside; after a time limit the lane counts as stuck,
every caller is told, and the worker reports that it is not ready.
"""

from __future__ import annotations

import asyncio
import logging
import queue
import threading
from collections.abc import Callable
from typing import Any, TypeVar

logger = logging.getLogger(__name__)
T = TypeVar("T")


class LaneStuck(RuntimeError):
    """A backend call ran past the time limit; nothing more can run on the lane."""


class Lane:
    """One daemon thread that runs calls in order. Made and used on one event loop.

    Args:
        timeout: seconds that one call may take.
    """

    def __init__(self, timeout: float) -> None:
        self._timeout = timeout
        self._loop = asyncio.get_running_loop()
        # As many as there are sessions: each has one call under way.
        self._calls: queue.SimpleQueue[
            tuple[asyncio.Future[Any], Callable[[], Any], bool] | None
        ] = queue.SimpleQueue()
        self._waiting: set[asyncio.Future[Any]] = set()
        self._watchdog: asyncio.TimerHandle | None = None
        self.stuck = False
        self._thread = threading.Thread(target=self._work, name="framewire-lane", daemon=True)
        self._thread.start()

    async def run(self, call: Callable[[], T], *, limited: bool = True) -> T:
        """Run `call` on the lane's thread and return what it returns.

        A caller that is cancelled before its turn loses the turn; once started, a call runs to
        its end.

        Args:
            limited: the time limit counts; loading a model may take longer than any block.

        Raises:
            LaneStuck: this call, or one before it, ran past the time limit.
        """
        if self.stuck:
            raise LaneStuck("the backend hangs")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting.add(future)
        self._calls.put((future, call, limited))
        try:
            return await future
        finally:
            self._waiting.discard(future)

    def close(self) -> None:
        """Let the thread end after the calls that wait."""
        self._calls.put(None)

    def _work(self) -> None:
        while (entry := self._calls.get()) is not None:
            future, call, limited = entry
            if future.done():  # its caller left, or was told that the lane is stuck
                continue
            if limited:
                self._post(self._arm)
            try:
                result, error = call(), None
            except Exception as raised:  # noqa: BLE001 (handed to the caller, who logs it)
                result, error = None, raised
            self._post(self._deliver, future, result, error)
            del entry, future, call, result, error

    def _post(self, callback: Callable[..., None], *args: Any) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            logger.debug("the event loop is closed; the lane's result is dropped")

    def _arm(self) -> None:
        self._watchdog = self._loop.call_later(self._timeout, self._give_up)

    def _deliver(self, future: asyncio.Future[Any], result: Any, error: Exception | None) -> None:
        if self._watchdog is not None:
            self._watchdog.cancel()
        if future.done():
            return
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(result)

    def _give_up(self) -> None:
        self.stuck = True
        logger.error("a backend call has run for more than %g s; the lane is stuck", self._timeout)
        for future in self._waiting:
            if not future.done():
                future.set_exception(LaneStuck(f"no block within {self._timeout:g} s"))
