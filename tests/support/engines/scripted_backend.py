"""A backend that a test scripts: tiny grey frames, every call recorded, trouble where told.

Each block's frames are grey at `10 + block`, so that a frame says which block it came from.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence

import numpy as np

from framewire.worker.backends.base import Block, Change, Defaults, Picture, Settings

Step = Callable[[], None]


class ScriptedBackend:
    """Blocks of `frames` frames each; `lane` and `finish` hold what to do in a block by number.

    Attributes:
        events: what was called, in order, by every session: ("open",), ("lane", 0), ...
        live: pictures that a block of a live session takes.
        wrong_shape: the block whose frames have another size than was resolved.
    """

    name = "scripted"

    def __init__(self, *, frames: int = 2, live: int = 2) -> None:
        self.defaults = Defaults(
            width=64, height=64, num_blocks=2, first_block_frames=frames, block_frames=frames
        )
        self.frames, self.live = frames, live
        self.sessions: list[ScriptedSession] = []
        self.events: list[tuple[str, int]] = []
        self.lane: dict[int, Step] = {}
        self.finish: dict[int, Step] = {}
        self.on_open: Step | None = None
        self.on_close: Step | None = None
        self.wrong_shape: int | None = None
        self.loaded = self.closed = False

    def load(self) -> None:
        self.loaded = True

    def open(self, settings: Settings) -> "ScriptedSession":
        if self.on_open is not None:
            self.on_open()
        self.sessions.append(ScriptedSession(self, settings))
        return self.sessions[-1]

    def close(self) -> None:
        self.closed = True


class ScriptedSession:
    def __init__(self, backend: ScriptedBackend, settings: Settings) -> None:
        self.backend, self.settings = backend, settings
        self.changes: list[tuple[int, Change]] = []
        self.pictures: list[list[int]] = []  # per block the red of each input picture
        self.threads: set[str] = set()
        self.block = 0
        self.live = settings.live
        self.closed = False

    def pictures_wanted(self) -> int:
        return self.backend.live if self.live else 0

    def steer(self, change: Change) -> None:
        self.threads.add(threading.current_thread().name)
        self.changes.append((self.block, change))
        if change.live is not None:
            self.live = change.live

    def next_block(self, pictures: Sequence[Picture]) -> Callable[[], Block]:
        assert not self.closed and len(pictures) == self.pictures_wanted()
        self.threads.add(threading.current_thread().name)
        block = self.block
        self.backend.events.append(("lane", block))
        self.pictures.append([int(picture[0, 0, 0]) for picture in pictures])
        self.backend.lane.get(block, lambda: None)()
        self.block += 1
        return lambda: self._finish(block)

    def _finish(self, block: int) -> Block:
        assert not self.closed, "finished after close"
        self.backend.events.append(("finish", block))
        self.backend.finish.get(block, lambda: None)()
        side = 8 if block == self.backend.wrong_shape else 0
        shape = (self.backend.frames, self.settings.height + side, self.settings.width, 3)
        return Block(np.full(shape, 10 + block % 200, np.uint8), {"paint": 1.0})

    def close(self) -> None:
        if self.backend.on_close is not None:
            self.backend.on_close()
        self.closed = True
        self.backend.events.append(("close", self.block))


class Gate:
    """Holds a backend call until the test lets it go; `entered` says that it is being held."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self._open.wait(20), "nobody opened the gate"

    def open(self) -> None:
        self._open.set()


async def entered(gate: Gate) -> None:
    """Wait until the gate holds a call."""
    async with asyncio.timeout(10):
        await asyncio.to_thread(gate.entered.wait)
