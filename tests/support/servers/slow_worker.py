"""The worker's command with a test card whose every block takes a second, or hangs for good.

Run as a program, with the command's own arguments; FRAMEWIRE_TEST_BLOCK is the seconds a block,
until there is a file at FRAMEWIRE_TEST_HURRY, FRAMEWIRE_TEST_LOAD the seconds that loading takes.
"""

import os
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from framewire.worker import backends
from framewire.worker.backends.base import Backend, Block, Picture, Settings
from framewire.worker.backends.testcard import TestcardBackend, TestcardSession
from framewire.worker.cli import main

SECONDS = float(os.environ.get("FRAMEWIRE_TEST_BLOCK", "1"))
HURRY = Path(os.environ.get("FRAMEWIRE_TEST_HURRY", "/there is no such file"))
LOAD_SECONDS = float(os.environ.get("FRAMEWIRE_TEST_LOAD", "0"))


class SlowSession(TestcardSession):
    def next_block(self, pictures: Sequence[Picture]) -> Callable[[], Block]:
        if not HURRY.exists():
            time.sleep(SECONDS)
        return super().next_block(pictures)


class SlowBackend(TestcardBackend):
    name = "slow"

    def load(self) -> None:
        print("loading", file=sys.stderr, flush=True)
        time.sleep(LOAD_SECONDS)

    def open(self, settings: Settings) -> SlowSession:
        return SlowSession(settings)


def choose(name: str, *_: object, **__: object) -> tuple[Backend, str]:
    return SlowBackend(), "the test asked for it"


if __name__ == "__main__":
    backends.choose = choose
    sys.exit(main())
