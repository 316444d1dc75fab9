"""Prompts that come while a block waits for its own: they are the next block's, in memory."""

import asyncio
import functools
from typing import Any

from support.engines.scripted_backend import Gate, ScriptedBackend, entered
from support.viewers.memory_viewer import (
    MemoryViewer,
    errors,
    is_event,
    ready,
    running_worker,
    told,
)

from framewire.protocol.prompts.blends import Blend
from framewire.worker.runtime.worker import Worker

run = functools.partial(running_worker, codec_threads=2)
SNOW_IN_TWO = [{"prompt": "snow", "at_block": 2}]


class Encoding(ScriptedBackend):
    """Encodes prompts; snow, and what else has a gate, no sooner than that is opened."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.gate = Gate()
        self.gates = {"snow": self.gate}

    def encode(self, prompt: str, blend: Blend | None) -> str:
        if prompt in self.gates:
            self.gates[prompt]()
        return prompt

    @property
    def shown(self) -> list[tuple[int, str | None]]:
        """What its only session was asked to show, by block."""
        (session,) = self.sessions
        assert all(change.encoded == change.prompt for _, change in session.changes)
        return [(block, change.prompt) for block, change in session.changes]


async def waiting(worker: Worker, backend: Encoding, **params: Any) -> MemoryViewer:
    """The viewer of a stream whose block 2 waits for snow to be encoded."""
    viewer = await ready(worker, events=True)
    viewer.say(prompt="a fox", steers=SNOW_IN_TWO, **{"num_blocks": 5, **params})
    await entered(backend.gate)
    await viewer.until(is_event("steered"))
    return viewer


async def test_a_block_shows_what_it_waited_for_and_the_next_one_the_newest_since() -> None:
    """Each is told once, for the block that shows it."""
    backend = Encoding()
    async with run(backend) as worker:
        viewer = await waiting(worker, backend)
        for prompt in ("rain", "fog"):
            viewer.say(prompt=prompt)
            await viewer.seen_to()
        backend.gate.open()
        messages = await viewer.stream()
    assert backend.shown == [(2, "snow"), (3, "fog")]
    assert told(messages) == [(3, 3, ["prompt"])]


async def test_blocks_are_made_though_another_prompt_comes_before_each_is_encoded() -> None:
    """As of a viewer who steers by the hand, faster than the encoder is."""
    loop = asyncio.get_running_loop()
    prompts = iter(range(100))

    class Overtaken(Encoding):
        def encode(self, prompt: str, blend: Blend | None) -> str:
            asyncio.run_coroutine_threadsafe(say_another(), loop).result(60)
            return prompt

    async def say_another() -> None:
        if viewers and (number := next(prompts, None)) is not None:
            viewers[0].say(prompt=f"number {number}")
            await viewers[0].seen_to()

    viewers: list[MemoryViewer] = []
    backend = Overtaken()
    async with run(backend) as worker:
        viewer = await ready(worker, events=True)
        viewers.append(viewer)
        viewer.say(prompt="a fox", num_blocks=8)
        messages = await viewer.stream()
    made = [block for block, *_ in told(messages) if block < 8]
    assert made == [block for block, _ in backend.shown]


async def test_a_prompt_that_came_in_the_wait_is_taken_mid_block_where_that_is_asked() -> None:
    backend, between, rain = Encoding(passes=3), Gate(), Gate()
    backend.between[2, 1], backend.gates["rain"] = between, rain
    async with run(backend) as worker:
        viewer = await waiting(worker, backend, mid_block_prompts=True)
        viewer.say(prompt="rain")
        await viewer.seen_to()
        backend.gate.open()
        await entered(between)
        rain.open()
        while "rain" not in encoded_by(viewer):
            await worker.in_turn(viewer, lambda: None)
        await viewer.seen_to()
        between.open()
        messages = await viewer.stream()
    assert backend.shown == [(2, "snow")]
    (session,) = backend.sessions
    assert [(block, one.prompt) for block, _, one in session.taken] == [(2, "rain")]
    assert told(messages) == [(2, 3, ["prompt"])]


def encoded_by(viewer: MemoryViewer) -> set[str]:
    under_way = viewer.session._under_way
    assert under_way is not None
    tasks = under_way.prompts._encoding
    return {blend.text for blend, task in tasks.items() if task.done()}


async def test_a_reset_does_not_wait_for_the_prompt_of_a_block() -> None:
    """The stream that it starts does, as for any prompt that is in force."""
    backend = Encoding()
    async with run(backend) as worker:
        viewer = await waiting(worker, backend)
        viewer.say(action="reset", prompt="rain", num_blocks=1)
        messages = await viewer.stream()
        backend.gate.open()
    first, second = backend.sessions
    assert (first.block, second.block, second.settings.prompt) == (2, 1, "rain")
    assert told(messages) == []


async def test_an_end_does_not_wait_for_the_prompt_of_a_block() -> None:
    backend = Encoding()
    async with run(backend) as worker:
        viewer = await waiting(worker, backend)
        viewer.say(action="end")
        await viewer.stream()
        backend.gate.open()
    assert backend.sessions[0].block == 2 and backend.shown == []


async def test_a_drain_does_not_wait_for_the_prompt_of_a_block() -> None:
    backend = Encoding()
    async with run(backend) as worker:
        viewer = await waiting(worker, backend)
        worker.draining.set()
        messages = await viewer.end()
        backend.gate.open()
    assert errors(messages) and backend.sessions[0].block == 2


async def test_a_stream_whose_finishing_fails_does_not_wait_for_a_prompt() -> None:
    backend, failing = Encoding(), Gate()

    def fail() -> None:
        failing()
        raise RuntimeError("no memory left")

    backend.finish[1] = fail
    async with run(backend) as worker:
        viewer = await waiting(worker, backend)
        viewer.say(prompt="rain")
        await viewer.seen_to()
        failing.open()
        messages = await viewer.end()
        backend.gate.open()
    assert errors(messages) and backend.sessions[0].block == 2
