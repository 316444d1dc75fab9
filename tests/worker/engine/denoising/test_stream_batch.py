"""Denoising steps in one batch: each row is another block, and a block comes out of the last."""

import pytest
from support.engines.live_stream import live, live_params
from support.engines.tiny_engine import STREAMDIFFUSIONV2, tiny_engine

from framewire.worker.engine.options import EngineOptions


def test_batched_steps_bring_each_block_out_a_step_later() -> None:
    """The first block is whole; then nothing comes while the batch fills."""
    engine = tiny_engine(preset=STREAMDIFFUSIONV2, options=EngineOptions(batch_steps=True))
    generation = engine.open("a fox", live_params(num_denoising_steps=3))
    assert [len(frames) for frames in live(generation, 60, noise=9)[:6]] == [5, 0, 0, 4, 4, 4]
    assert generation.delay == 2


def test_batched_steps_without_input_are_refused() -> None:
    engine = tiny_engine(preset=STREAMDIFFUSIONV2, options=EngineOptions(batch_steps=True))
    with pytest.raises(ValueError, match="batch_steps is for blocks made from pictures"):
        engine.open("a fox", live_params()).generate_block()


def test_a_block_moves_on_by_a_row_with_every_pass() -> None:
    """Rows hold the newest block first, each at its own step and its own place in time."""
    told: list[tuple[int, int, float]] = []
    engine = tiny_engine(preset=STREAMDIFFUSIONV2, options=EngineOptions(batch_steps=True))
    generation = engine.open(
        "a fox",
        live_params(num_denoising_steps=3),
        trace=lambda kind, block, at, t, x, x0: told.append((block, at, t)),
    )
    live(generation, 5)
    batches = [told[first : first + 3] for first in range(3, len(told), 3)]
    assert [told[:3], *batches[2:]] == [
        [(0, 0, 700), (0, 0, 500), (0, 0, 400)],
        [(3, 4, 700), (2, 3, 500), (1, 2, 400)],
        [(4, 5, 700), (3, 4, 500), (2, 3, 400)],
    ]
