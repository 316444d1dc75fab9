"""A backend that a test scripts: tiny grey frames, every call recorded, trouble where told.

Each block's frames are grey at `10 + block`, so that a frame says which block it came from.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from framewire.worker.backends.base import Block, Change, Defaults, Picture, Settings

Step = Callable[[], None]


class ScriptedBackend:
    """Blocks of `frames` frames each; `lane` and `finish` hold what to do in a block by number.

    Attributes:
        events: what was called, in order, by every session: ("open",), ("lane", 0), ...
        live: pictures that a block of a live session takes.
        wrong_shape: the block whose frames have another size than was resolved.
        passes: of a block; between two of them it takes a prompt in, if there are any; `between`
            holds what to do there first, by block and pass.
        parts: that a block is finished in, each with all of its `frames`; `part` holds what to do
            in a part, by block and part.
    """

    name = "scripted"

    def __init__(self, *, frames: int = 2, live: int = 2, parts: int = 1, passes: int = 0) -> None:
        made = frames * parts
        self.defaults = Defaults(
            width=64,
            height=64,
            num_blocks=2,
            first_block_frames=made,
            block_frames=made,
            mid_block_prompts=passes > 1,
        )
        self.passes = passes
        self.between: dict[tuple[int, int], Step] = {}
        self.frames, self.live, self.parts = frames, live, parts
        self.sessions: list[ScriptedSession] = []
        self.events: list[tuple[str, int]] = []
        self.lane: dict[int, Step] = {}
        self.finish: dict[int, Step] = {}
        self.part: dict[tuple[int, int], Step] = {}
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
        self.taken: list[tuple[int, int, Change]] = []  # mid-block, with the pass before which
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

    def next_block(
        self,
        pictures: Sequence[Picture],
        newest: Callable[[], Change | None] | None = None,
    ) -> Callable[[], Block]:
        assert not self.closed and len(pictures) == self.pictures_wanted()
        self.threads.add(threading.current_thread().name)
        block = self.block
        self.backend.events.append(("lane", block))
        self.pictures.append([int(picture[0, 0, 0]) for picture in pictures])
        self.backend.lane.get(block, lambda: None)()
        for at in range(1, self.backend.passes):
            self.backend.between.get((block, at), lambda: None)()
            if newest is not None and (change := newest()) is not None:
                self.taken.append((block, at, change))
        self.block += 1
        if self.backend.parts > 1:
            return ScriptedParts(self, block)
        return lambda: self.finish(block)

    def finish(self, block: int) -> Block:
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


class ScriptedParts:
    """Finishes a block in parts."""

    def __init__(self, session: ScriptedSession, block: int) -> None:
        self._session, self._block = session, block
        self._part = 0

    def __call__(self) -> Block:
        raise AssertionError("nobody waits for a whole block")

    def part(self) -> Block:
        backend = self._session.backend
        backend.part.get((self._block, self._part), lambda: None)()
        self._part += 1
        left = backend.frames * (backend.parts - self._part)
        return replace(self._session.finish(self._block), left=left)


class Gate:
    """Holds a backend call until the test lets it go; `entered` says that it is being held."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._open = threading.Event()

    def __call__(self) -> None:
        self.entered.set()
        assert self._open.wait(60), "nobody opened the gate"

    def open(self) -> None:
        self._open.set()


async def entered(gate: Gate) -> None:
    """Wait until the gate holds a call."""
    async with asyncio.timeout(60):
        await asyncio.to_thread(gate.entered.wait)
