"""The tiny model through the real worker and client: pictures at 832x480 show what was said.

The floors are what the shipped weights clear with room for chance in so few tries; goals and rates
of the whole table are in the model card (worker/engine/tiny/weights/README.md), and `-m slow`
prints that table anew.
"""

import asyncio
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from train_tiny import evaluate
from train_tiny.evaluate import Rates
from train_tiny.watch import watch

from framewire.client import local_worker
from framewire.client.local_worker import LocalWorker

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.timeout(300)]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def worker() -> AsyncIterator[LocalWorker]:
    async with local_worker(backend="tiny") as running:
        yield running


def assert_at_least(rates: Rates, floors: Rates) -> None:
    """Every floor is reached by the rate of its name."""
    assert not {name: rates[name] for name, floor in floors.items() if rates[name] < floor}, rates


async def test_pictures_show_what_held_out_prompts_say(worker: LocalWorker) -> None:
    """Combinations that training never drew: words are understood one by one."""
    rates = await evaluate.adherence(worker.url, 24, seed=31)
    floors = {
        "block 0: colour": 0.9,
        "later: background": 0.95,
        "later: colour": 0.9,
        "later: direction": 0.75,
        "later: shape": 0.7,
    }
    assert_at_least(rates, floors)


async def test_a_new_colour_is_dominant_within_two_blocks(worker: LocalWorker) -> None:
    """Steering in mid stream is seen, not only accepted, and nothing jumps outside the ramp."""
    rates = await evaluate.steering(worker.url, 8, seed=32)
    floors = {
        "steered: colour within 2 blocks, interp_steps=1": 0.85,
        "steered: colour within 5 blocks, interp_steps=4": 0.85,
        "steered: no jump outside the ramp, interp_steps=1": 0.85,
        "steered: no jump outside the ramp, interp_steps=4": 0.85,
    }
    assert_at_least(rates, floors)


async def test_a_start_frame_is_followed(worker: LocalWorker) -> None:
    """The first block shows the colour and the place of the picture, which the prompt doesn't name."""
    rates = await evaluate.start_frames(worker.url, 8, seed=33)
    floors = {
        "start frame: colour in block 0": 0.75,
        "start frame: place in block 0": 0.75,
    }
    assert_at_least(rates, floors)


async def test_live_input_is_followed_at_half_strength_and_ignored_at_full(
    worker: LocalWorker,
) -> None:
    """Under a prompt that names no colour, or another: the picture's place and colour, or its own."""
    rates = await evaluate.live_input(worker.url, 8, seed=34)
    followed = "prompt names no colour, strength 0.5"
    ignored = "prompt names another colour, strength 1.0"
    floors = {f"live: input's colour, {followed}": 0.75, f"live: input's place, {followed}": 0.75}
    assert_at_least(rates, floors | {f"live: prompt's colour, {ignored}": 0.6})
    assert rates[f"live: input's place, {ignored}"] <= 0.4, rates


async def test_a_long_stream_does_not_drift(worker: LocalWorker) -> None:
    """Sixty blocks later background and colour are what they were."""
    rates = await evaluate.endurance(worker.url, 2, 60, seed=35)
    for what, least, loss in (("background", 0.9, 0.1), ("colour", 0.9, 0.2)):
        assert rates[f"blocks 1-5: {what}"] >= least, rates
        assert rates[f"last 5 of 60: {what}"] >= rates[f"blocks 1-5: {what}"] - loss, rates


async def test_two_streams_at_once_are_what_each_is_alone(worker: LocalWorker) -> None:
    """Bit for bit: sessions share weights and scratch memory, and nothing else."""
    prompts = ("a red circle moving right over a night sky", "a blue square moving left")
    alone = [await watch(worker.url, prompt, 3, seed) for seed, prompt in enumerate(prompts)]
    together = await asyncio.gather(
        *(watch(worker.url, prompt, 3, seed) for seed, prompt in enumerate(prompts))
    )
    for one, other in zip(alone, together, strict=True):
        assert [len(block) for block in one] == [6, 12, 12]
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.slow
@pytest.mark.timeout(3600)
async def test_the_whole_table(capsys: pytest.CaptureFixture[str]) -> None:
    """Print the model card's table; streams of 100 blocks stay within 10 points."""
    rates = await evaluate.whole_table(200)
    with capsys.disabled():
        print("\n" + "\n".join(evaluate.rows(rates)))
    for what in ("background", "colour", "shape", "direction"):
        lost = rates[f"blocks 1-5: {what}"] - rates[f"last 5 of 100: {what}"]
        assert round(lost, 3) <= 0.1, rates
