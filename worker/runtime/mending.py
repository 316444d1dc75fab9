"""Loads a backend again that has lost what it needs, or ends the worker where told to."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from framewire.worker.backends.base import Backend, MayBreak

from .lane import Lane

logger = logging.getLogger(__name__)

_TO_END = 2.0
"""Seconds that sessions have to hear of it before the lane is taken by loading, which may be long."""


class Mending:
    """Made inside the event loop that serves the sessions.

    Attributes:
        under_way: the backend is being loaded again.
        failed: it could not be, or was not to be: the worker is about to end.
    """

    def __init__(self, backend: Backend, lane: Lane, *, exits: bool) -> None:
        """Watch a backend, if it is one that may break.

        Args:
            exits: end the worker instead, by SIGTERM.
        """
        self.under_way = self.failed = False
        self._backend, self._lane, self._exits = backend, lane, exits
        self._loop = asyncio.get_running_loop()
        self._task: asyncio.Task[None] | None = None
        self._broken_again = False
        self._sessions = 0
        self._no_sessions, self._sound = asyncio.Event(), asyncio.Event()
        self._no_sessions.set()
        self._sound.set()
        if isinstance(backend, MayBreak):
            backend.when_broken(lambda: self._loop.call_soon_threadsafe(self._begin))

    async def over(self) -> None:
        """Wait until nothing has to be mended."""
        await self._sound.wait()

    @contextmanager
    def session(self) -> Iterator[None]:
        """Count a session of the backend, which needs the lane to its end."""
        self._sessions += 1
        self._no_sessions.clear()
        try:
            yield
        finally:
            self._sessions -= 1
            if not self._sessions:
                self._no_sessions.set()

    def _begin(self) -> None:
        self._broken_again = self.under_way
        if not self.under_way and not self.failed:
            self.under_way = True
            self._sound.clear()
            self._task = asyncio.create_task(self._mend())

    async def _mend(self) -> None:
        try:
            if not self._exits:
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._no_sessions.wait(), _TO_END)
                await self._load()
                logger.info("the backend is loaded again")
                return
        except Exception:
            logger.exception("the backend could not be loaded again")
        finally:
            self.under_way = False
            self._sound.set()
        self.failed = True
        os.kill(os.getpid(), signal.SIGTERM)

    async def _load(self) -> None:
        """Again where it breaks meanwhile and is loaded all the same: just before loading is over."""
        while True:
            self._broken_again = False
            await self._lane.run(self._backend.load, limited=False)
            if not self._broken_again:
                return
