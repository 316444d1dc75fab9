"""What a replay would ask for is what the worker has in force, whatever was said.

A real session and a `Replay` hear the same messages. The worker is held in each block until the
test lets it go on, so that both know of the same blocks when a map is sent.
"""

import asyncio
import copy
import threading
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from support.engines.scripted_backend import ScriptedBackend
from support.viewers.memory_viewer import MemoryViewer, picture, running_worker

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

PICTURE = picture()
MOST_BLOCKS = 200
MAKE_A_BLOCK = "make a block"
LOSE_THE_CONNECTION = "lose the connection"
Step = Params | Steer | str

prompts = st.sampled_from(["A", "B", "C"])
maybe = st.none()
starts = st.builds(
    Params,
    prompt=prompts,
    num_blocks=maybe | st.integers(1, 20),
    seed=maybe | st.integers(0, 9),
    strength=maybe | st.sampled_from([0.25, 0.5]),
    noise_controller=maybe | st.booleans(),
    interp_steps=maybe | st.integers(1, 3),
    webcam_mode=maybe | st.booleans(),
    start_frame=st.sampled_from([None, None, PICTURE, PICTURE, b"no picture, which is refused"]),
)
maps: dict[str, st.SearchStrategy[Any]] = {
    "prompt": maybe | prompts,
    "interp_steps": maybe | st.integers(1, 3),
    "num_blocks": maybe | st.integers(1, 20),
    "strength": maybe | st.sampled_from([0.25, 0.5]),
    "noise_controller": maybe | st.booleans(),
    "seed": maybe | st.integers(0, 9),
}
steers = (
    st.builds(Steer, **maps, at_block=maybe | st.integers(0, 6))
    | st.builds(Steer, image=st.just(PICTURE), prompt=prompts)
    | st.builds(Steer, **maps, action=st.just("reset"))
    | st.builds(Steer, action=st.just("end"), at_block=maybe | st.integers(0, 6))
)
said = steers | steers | steers | starts | st.just(LOSE_THE_CONNECTION)
steps = st.lists(st.tuples(said, st.integers(0, 3)), min_size=1, max_size=16)


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
            assert self._permits.acquire(timeout=20), "nobody let the block through"

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

    async def do(self, step: Step) -> None:
        """What the client's session and wire do, as far as the state allows it."""
        streaming = self.viewer is not None and self.protocol.state is State.STREAMING
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
                async with asyncio.timeout(20):
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
        theirs = self.viewer.session._steering
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


async def _play(first: Params, script: list[tuple[Step, int]]) -> None:
    """Each step is followed by so many blocks."""
    backend = ScriptedBackend(live=0)
    async with running_worker(backend) as worker:
        both = BothSides(worker, backend)
        try:
            await both.do(first)
            for step, blocks in script:
                await both.do(step)
                for _ in range(blocks):
                    await both.do(MAKE_A_BLOCK)
                    both.compare()
        finally:
            await both.lose()


@settings(max_examples=60, deadline=None)
@given(first=starts, script=steps)
def test_both_sides_have_the_same_in_force(first: Params, script: list[tuple[Step, int]]) -> None:
    """Params, prompt versions and held maps, over blocks, resets, streams and losses."""
    asyncio.run(_play(first, script))
