"""The sending side of a session: what waits in the outbox goes out, at the stream's pace."""

from __future__ import annotations

import asyncio
import time

from framewire.worker.runtime.worker import Worker

from .endings import Stalled
from .outbox import Outbox
from .pace import Pace
from .viewer_socket import ViewerSocket


class Writer:
    """Sends one viewer's messages."""

    def __init__(self, worker: Worker, socket: ViewerSocket, outbox: Outbox, pace: Pace) -> None:
        self._metrics = worker.metrics
        self._stall_timeout = worker.config.stall_timeout
        self._socket = socket
        self._outbox = outbox
        self._pace = pace
        self._hurry = asyncio.Event()

    def hurry(self) -> None:
        """The session ends: keep no pace any more."""
        self._hurry.set()

    async def run(self) -> None:
        """Send until cancelled.

        Raises:
            Disconnected: the viewer has gone.
            Stalled: it has not read for too long.
        """
        loop = asyncio.get_running_loop()
        due = 0.0
        while True:
            item = await self._outbox.head()
            if item.is_frame and self._pace.fps:
                due = max(due + 1 / self._pace.fps, loop.time())
                await self._pause(due - loop.time())
                if not self._outbox.holds(item):
                    continue
            try:
                async with asyncio.timeout(self._stall_timeout):
                    await self._socket.send(item.data)
            except TimeoutError:
                raise Stalled(f"nothing read for {self._stall_timeout:g} s") from None
            self._outbox.sent(item)
            self._metrics.bytes_sent.inc(len(item.data))
            self._metrics.frames.inc(item.is_frame)
            if item.ends_block and item.ready_at is not None:
                self._metrics.observe("delivery", time.perf_counter() - item.ready_at)

    async def _pause(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._hurry.wait()
        except TimeoutError:
            pass
