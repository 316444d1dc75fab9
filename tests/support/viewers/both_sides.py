"""A real session and a client's `Replay` that hear the same messages, in step.

The worker is held in each block until it is let go on, so that both know of the same blocks when
a map is sent.
"""

import asyncio
import copy
import threading
from collections.abc import Sequence

from support.engines.scripted_backend import ScriptedBackend
from support.viewers.memory_viewer import PATIENCE, MemoryViewer

from framewire.client.reconnect.replay import Replay
from framewire.protocol import (
    BlockDone,
    Completed,
    Connection,
    Params,
    Role,
    Started,
    State,
    Steer,
)
from framewire.worker.runtime.worker import Worker

MOST_BLOCKS = 200
MAKE_A_BLOCK = "make a block"
LOSE_THE_CONNECTION = "lose the connection"
Step = Params | Steer | str


class Turnstile:
    """Holds every block that a worker begins until it is let through."""

    def __init__(self) -> None:
        self.held = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._permits = threading.Semaphore(0)
        self._is_open = False

    def __call__(self) -> None:
        if not self._is_open:
            self._loop.call_soon_threadsafe(self.held.set)
            assert self._permits.acquire(timeout=PATIENCE), "nobody let the block through"

    def let_through(self) -> None:
        self.held.clear()
        self._permits.release()

    def open(self) -> None:
        """Hold nothing any more."""
        self._is_open = True
        self._permits.release()


class BothSides:
    """A session of `worker` and a `Replay`, told of the same."""

    def __init__(self, worker: Worker, backend: ScriptedBackend) -> None:
        self.worker, self.backend = worker, backend
        self.replay = Replay()
        self.viewer: MemoryViewer | None = None
        self.connections = 0

    async def connect(self) -> None:
        self.connections += 1
        self.turnstile = Turnstile()
        self.backend.lane = dict.fromkeys(range(MOST_BLOCKS), self.turnstile)
        self.protocol = Connection(Role.CLIENT)
        self.opened_before = len(self.backend.sessions)
        self.started, self.last_done = 0, -1
        self.viewer = MemoryViewer(self.worker, events=True, envelope=True)
        self.reading = asyncio.create_task(self.viewer.next_raw())
        while self.protocol.state is State.OPENING:
            await self.read()

    async def lose(self) -> None:
        if self.viewer is None:
            return
        self.reading.cancel()
        self.viewer.hang_up()
        self.turnstile.open()
        await asyncio.wait([self.viewer.task])
        self.viewer = None

    @property
    def is_streaming(self) -> bool:
        return self.viewer is not None and self.protocol.state is State.STREAMING

    async def do(self, step: Step) -> None:
        """What the client's session and wire do, as far as the state allows it.

        Before another stream, the one under way comes to its end.
        """
        while isinstance(step, Params) and self.is_streaming:
            await self.do(MAKE_A_BLOCK)
            self.compare()
        streaming = self.is_streaming
        completed = self.connections > 0 and self.protocol.state is not State.READY
        match step:
            case Params() if not streaming:
                await self.say([self.replay.start(step)])
            case Steer() if streaming:
                await self.say(self.replay.change(step))
            case Steer(action="reset") if completed:
                await self.say(self.replay.change(step))
            case "make a block" if streaming:
                self.turnstile.let_through()
                await self.until_the_worker_waits()
            case "lose the connection":
                await self.lose()
                if streaming:
                    self.replay.lost()
                    if self.replay.is_over:
                        self.replay.take(Completed())
                    else:
                        await self.say([])

    async def say(self, messages: Sequence[Params | Steer]) -> None:
        if self.viewer is None:
            await self.connect()
            if self.connections > 1:
                params, later = self.replay.requests()
                messages = [params, *later]
        assert self.viewer is not None
        for message in messages:
            self.viewer.say_raw(self.protocol.send(message))
        await self.viewer.taken_in()
        await self.until_the_worker_waits()

    async def until_the_worker_waits(self) -> None:
        """In a block, with all that was made before it read; or for another stream."""
        while self.protocol.state is State.STREAMING:
            if not self.turnstile.held.is_set():
                held = asyncio.create_task(self.turnstile.held.wait())
                async with asyncio.timeout(PATIENCE):
                    await asyncio.wait({held, self.reading}, return_when=asyncio.FIRST_COMPLETED)
                held.cancel()
            opened = self.backend.sessions[self.opened_before :]
            if self.reading.done():
                await self.read()
            elif self.turnstile.held.is_set():
                if (len(opened), opened[-1].block - 1) == (self.started, self.last_done):
                    return
                await self.read()

    async def read(self) -> None:
        data = await self.reading
        assert self.viewer is not None and data is not None
        self.reading = asyncio.create_task(self.viewer.next_raw())
        message = self.protocol.receive(data)
        if isinstance(message, Started):
            self.started, self.last_done = self.started + 1, -1
        elif isinstance(message, BlockDone):
            self.last_done = message.block
        if self.replay._steering is not None:
            self.replay.take(message)  # type: ignore[arg-type]

    def compare(self) -> None:
        """By the client's reading of the moment, if the connection were lost now."""
        if self.viewer is None or self.last_done < 0:
            return
        under_way = self.viewer.session._under_way
        theirs = under_way.steering if under_way else None
        replay = copy.deepcopy(self.replay)
        if self.protocol.state is State.READY:  # refused: both forget it
            assert (replay._last is None) == (theirs is None)
            return
        replay.lost()
        ours, base = replay._in_force, replay._counts.base
        assert theirs is not None
        blocks = {"num_blocks"} if self.connections > 1 else set()  # of another stream, there
        assert ours.params.model_dump(exclude=blocks) == theirs.params.model_dump(exclude=blocks)
        assert ours.prompt_version == base.prompts + theirs.prompt_version
        held = [(one.at_block or 0) - base.blocks for one in ours.held]
        assert held == [one.at_block for one in theirs.held]
        kept = {"at_block"} | blocks
        assert [one.model_dump(exclude=kept) for one in ours.held] == [
            one.model_dump(exclude=kept) for one in theirs.held
        ]
