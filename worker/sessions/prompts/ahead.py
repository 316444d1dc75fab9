"""Prompts that are encoded as soon as they are said, beside the blocks; each waits here for its own.

Encoding is no work for the lane, which all sessions share: while one prompt is encoded the others'
blocks go on. A block that a prompt is due in waits for it, so that what is seen depends on what was
said and not on how fast it was encoded.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Hashable
from typing import Any

from framewire.protocol import Params, Steer
from framewire.protocol.prompts.blends import Blend
from framewire.worker.backends.base import EncodesPrompts
from framewire.worker.runtime.worker import Worker

_AHEAD = 8
"""Of one session; what was said before those is encoded when its block comes."""


class Prompts:
    """Those of one session.

    Attributes:
        encodes: the backend does; else nothing is done here.
    """

    def __init__(self, worker: Worker) -> None:
        self._worker = worker
        self.encodes = isinstance(worker.backend, EncodesPrompts)
        self._caller: Hashable = object()
        self._encoding: OrderedDict[Blend, asyncio.Task[Any]] = OrderedDict()
        self._due: Blend | None = None

    def ahead(self, said: Params | Steer) -> None:
        """Begin with what a map asks to be shown, if anything."""
        if self.encodes and said.shown is not None:
            self._begin(said.shown)

    async def encoded(self, shown: Blend) -> Any:
        """What the backend makes of it; None where the backend encodes nothing beforehand.

        Raises:
            Exception: whatever encoding raises.
        """
        if not self.encodes:
            return None
        self._due = shown
        return await asyncio.shield(self._begin(shown))

    def close(self) -> None:
        """Nothing is waited for any more."""
        for task in self._encoding.values():
            task.cancel()
        self._encoding.clear()

    def _begin(self, shown: Blend) -> asyncio.Task[Any]:
        task = self._encoding.get(shown)
        if task is None or task.cancelled():
            task = asyncio.create_task(
                self._worker.encoded(self._caller, shown.text, shown if shown.is_mixed else None)
            )
            task.add_done_callback(_seen)
            self._encoding[shown] = task
        self._encoding.move_to_end(shown)
        for oldest in list(self._encoding)[:-_AHEAD]:
            if oldest != self._due:
                self._encoding.pop(oldest).cancel()
        return task


def _seen(task: asyncio.Task[Any]) -> None:
    """Whoever needs what failed is told; where nobody does, nothing is lost."""
    if not task.cancelled():
        task.exception()
