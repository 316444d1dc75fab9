"""A test card that stops before one of its blocks until it is let go on."""

import threading
from collections.abc import Callable, Sequence

from support.engines.scripted_backend import Gate

from framewire.worker.backends.base import Block, Change, Picture, Settings
from framewire.worker.backends.testcard import TestcardBackend, TestcardSession


class HeldBefore(TestcardBackend):
    """Each of its streams waits at `gate`, on the lane, before the block of that number; `steered` is
    set once one was steered."""

    def __init__(self, block: int) -> None:
        super().__init__()
        self.block, self.gate, self.steered = block, Gate(), threading.Event()

    def open(self, settings: Settings) -> TestcardSession:
        return _Session(settings, self)


class _Session(TestcardSession):
    def __init__(self, settings: Settings, held: HeldBefore) -> None:
        super().__init__(settings)
        self._held, self._begun = held, 0

    def next_block(self, pictures: Sequence[Picture]) -> Callable[[], Block]:
        if self._begun == self._held.block:
            self._held.gate()
        self._begun += 1
        return super().next_block(pictures)

    def steer(self, change: Change) -> None:
        self._held.steered.set()
        super().steer(change)
