"""A drain put in front of whatever a process does on SIGTERM and SIGINT.

For servers that are not ours and cut their sockets at once.
"""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Awaitable, Callable
from types import FrameType
from typing import Any

logger = logging.getLogger(__name__)

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


class DrainOnSignal:
    """First signal: drain, then do what was done before. Second: do that now.

    Args:
        drain: ends what runs, within a time limit of its own.
    """

    def __init__(self, drain: Callable[[], Awaitable[None]]) -> None:
        self._drain = drain
        self._loop = asyncio.get_running_loop()
        self._before: dict[int, Any] = {}
        self._draining: asyncio.Task[None] | None = None

    def install(self) -> None:
        """Take the signals over. Only the main thread may, and elsewhere none arrive."""
        if threading.current_thread() is not threading.main_thread():
            logger.info("not in the main thread: signals do not drain this worker")
            return
        for number in _SIGNALS:
            self._before[number] = signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._draining is None:
            self._loop.call_soon_threadsafe(self._begin, number)
        else:
            self._pass_on(number)

    def _begin(self, number: int) -> None:
        if self._draining is None:
            self._draining = asyncio.create_task(self._drain_and_pass_on(number))

    async def _drain_and_pass_on(self, number: int) -> None:
        try:
            await self._drain()
        finally:
            self._pass_on(number)

    def _pass_on(self, number: int) -> None:
        signal.signal(number, self._before[number] or signal.SIG_DFL)
        signal.raise_signal(number)
