"""The tiny model through the real worker and client: pictures at 832x480 show what was said.

The floors are what the shipped weights clear with room for chance in so few tries; the goals and
the rates of the whole table are in the model card.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from train_tiny.captions import plain_caption
from train_tiny.evaluate import Tally
from train_tiny.measure import look
from train_tiny.world import COLOURS, HEIGHT, WIDTH, Frames, random_scene

from framewire.client import connect, local_worker
from framewire.client.local_worker import LocalWorker
from framewire.worker.engine import tiny

WEIGHTS = Path(tiny.__file__).parent / "tiny_weights"
pytestmark = [
    pytest.mark.asyncio(loop_scope="module"),
    pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the tiny weights are not here"),
]

FIRST, LATER = 6, 12
"""Frames of a stream's first block, and of every later one."""


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[LocalWorker]:
    async with local_worker(backend="tiny") as running:
        yield running


def small(jpeg: bytes) -> Frames:
    """A frame as the world draws it, from the size that it was asked for."""
    with Image.open(BytesIO(jpeg)) as picture:
        assert picture.size == (832, 480)
        return np.asarray(picture.resize((WIDTH, HEIGHT), Image.Resampling.BOX))


async def streamed(
    worker: LocalWorker, prompt: str, blocks: int, seed: int, *, then: str = "", at: int = 0
) -> Frames:
    """A stream's frames, turned to another prompt at once at a block, if one is given."""
    async with asyncio.timeout(60), connect(worker.url) as session:
        await session.start(prompt, num_blocks=blocks, seed=seed)
        if then:
            await session.steer(then, interp_steps=1, at_block=at)
        return np.stack([small(frame.jpeg) async for frame in session])


async def test_pictures_show_what_held_out_prompts_say(worker: LocalWorker) -> None:
    """Combinations that training never drew: words are understood one by one."""
    tally, rng = Tally(), np.random.default_rng(31)
    for seed in range(16):
        scene = random_scene(rng, held_out=True)
        frames = await streamed(worker, plain_caption(scene), 3, seed)
        assert len(frames) == FIRST + 2 * LATER
        tally.compare("later", scene, look(frames[FIRST:]))
    rates = tally.rates()
    assert rates["later background"] >= 0.8, rates
    assert rates["later colour"] >= 0.8, rates
    assert rates["later direction"] >= 0.5, rates


async def test_a_new_colour_is_dominant_within_two_blocks(worker: LocalWorker) -> None:
    """Steering in mid stream is seen, not only accepted."""
    rng, hits = np.random.default_rng(32), []
    for seed in range(6):
        scene = random_scene(rng)
        (thing,) = scene.things
        colour = next(name for name in COLOURS if name != thing.colour)
        wanted = replace(scene, things=(replace(thing, colour=colour),))
        frames = await streamed(
            worker, plain_caption(scene), 4, seed, then=plain_caption(wanted), at=2
        )
        start = FIRST + LATER
        seen = [look(frames[start + i * LATER :][:LATER]).colour for i in range(2)]
        hits.append(colour in seen)
    assert sum(hits) >= 5, hits


async def test_two_streams_at_once_are_what_each_is_alone(worker: LocalWorker) -> None:
    """Bit for bit: sessions share weights and scratch memory, and nothing else."""
    prompts = ("a red circle moving right over a night sky", "a blue square moving left")
    alone = [await streamed(worker, prompt, 3, seed) for seed, prompt in enumerate(prompts)]
    together = await asyncio.gather(
        *(streamed(worker, prompt, 3, seed) for seed, prompt in enumerate(prompts))
    )
    for one, other in zip(alone, together, strict=True):
        assert np.array_equal(one, other)
