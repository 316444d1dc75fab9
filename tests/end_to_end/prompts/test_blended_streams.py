"""Blends from the client to the pixels: a real worker, the client, and what comes back."""

import asyncio
from collections.abc import AsyncIterator
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.servers.stand_in import picture

from framewire.client import Event, Frame, Session, Steered, connect, local_worker
from framewire.client.local_worker import LocalWorker

RED, BLUE = "a white square on red and red", "a white square on blue and blue"
MIX = [(RED, 1), (BLUE, 1)]


@pytest.fixture
async def worker() -> AsyncIterator[LocalWorker]:
    async with local_worker(backend="testcard") as running:
        yield running


async def started(session: Session, prompt: str | None = None, **options: Any) -> None:
    shape = {"width": 128, "height": 64, "seed": 7, "events": True, "fmt": "msgpack"}
    await session.start(prompt, **{**shape, **options})  # type: ignore[arg-type]


async def read(session: Session) -> list[Frame]:
    return [frame async for frame in session]


async def send_pictures(session: Session, count: int) -> None:
    for number in range(count):
        await session.send_image(picture(number))


def blueness(frame: Frame) -> float:
    picture = np.asarray(Image.open(BytesIO(frame.jpeg)), float)[12:-12]
    return float(picture[..., 2].mean() - picture[..., 0].mean())


async def test_prompts_are_blended_and_the_same_blend_is_the_same_stream(
    worker: LocalWorker,
) -> None:
    async with connect(worker.url) as session:
        found = []
        for prompts in ([(RED, 1)], MIX, [(BLUE, 50), (RED, 50)], [(BLUE, 1)]):
            await started(session, num_blocks=1, prompts=prompts)
            found.append([frame.jpeg for frame in await read(session)])
    assert found[1] == found[2]
    assert found[0] != found[1] != found[3]


async def test_a_blend_is_steered_to_exactly_and_ended_by_a_prompt(worker: LocalWorker) -> None:
    """Held for a block, as all maps are; a change of weights is a version of its own."""
    events: list[Event] = []
    async with connect(worker.url, on_event=events.append) as session:
        live = {"webcam_mode": True, "input": "all", "strength": 1.0}  # of which only prompts show
        await started(session, RED, num_blocks=8, interp_steps=1, **live)
        await session.steer(prompts=MIX, at_block=4)
        await session.steer(prompts=[(RED, 2), (BLUE, 2)], at_block=5)
        await session.steer(prompts=[(RED, 1), (BLUE, 9)], interp_steps=0, at_block=6)
        await session.steer(RED, at_block=7)
        async with asyncio.TaskGroup() as group:
            group.create_task(send_pictures(session, 12 * 8 - 6))  # without which no block is made
            frames = await read(session)
    steered = [(event.block, event.applied) for event in events if isinstance(event, Steered)]
    both = ("prompt", "prompts")
    assert steered == [(4, both), (6, both), (7, ("prompt",))]
    means = {
        block: np.mean([blueness(frame) for frame in frames if frame.block == block])
        for block in range(3, 8)
    }
    assert means[3] < -50 < means[4] < 50 < means[6] and means[7] < -50
    assert abs(means[4] - means[5]) < 5
    assert {frame.prompt_version for frame in frames if frame.block == 6} == {3}
