"""The shipped files of the tiny model, and what its engine does with them.

What its pictures show is measured in test_through_the_wire.py.
"""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from train_tiny import evaluate
from train_tiny.captions import vocabulary
from train_tiny.clips import FIRST_FRAMES, clip_of
from train_tiny.measure import look
from train_tiny.world import random_scene

from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.tiny import model as tiny

WEIGHTS = Path(tiny.__file__).parent / "weights"


@pytest.fixture(scope="module")
def engine() -> Engine:
    return tiny.load_tiny()


def _stream(engine: Engine, seed: int, prompt: str = "a red circle moving right") -> np.ndarray:  # type: ignore[type-arg]
    stream = engine.open(prompt, StreamParams.of(tiny.TINY, seed=seed))
    return np.concatenate([stream.generate_block().numpy() for _ in range(3)])


def test_the_weights_are_small_enough_to_ship() -> None:
    """Under 10 MB in all, the card and the vocabulary among them."""
    assert sum(file.stat().st_size for file in WEIGHTS.iterdir()) < 10_000_000


def test_the_vocabulary_is_the_grammars() -> None:
    """The shipped encoder knows the words that the captions are made of."""
    assert json.loads((WEIGHTS / tiny.VOCABULARY).read_text()) == vocabulary()


def test_missing_weights_are_named(tmp_path: Path) -> None:
    """A folder without the files says which one is missing."""
    with pytest.raises(CheckpointError, match=tiny.VOCABULARY):
        tiny.load_tiny(folder=tmp_path)


def test_the_same_seed_gives_the_same_video(engine: Engine) -> None:
    """Bit for bit, and another seed another one."""
    one, same, other = _stream(engine, 1), _stream(engine, 1), _stream(engine, 2)
    assert one.shape == (30, 96, 160, 3)
    assert np.array_equal(one, same)
    assert np.abs(one.astype(int) - other).mean() > 0.5


def test_in_bfloat16_it_shows_the_same_but_for_small_differences(engine: Engine) -> None:
    """Bytes are others, which is why it is for those who ask for it."""
    half = tiny.load_tiny(dtype=torch.bfloat16)
    assert half.transformer.dtype == torch.bfloat16
    exact, rounded = _stream(engine, 1), _stream(half, 1)
    difference = np.abs(exact.astype(int) - rounded)
    assert 0 < difference.mean() < 1
    seen, meant = look(rounded[-12:]), look(exact[-12:])
    assert (seen.colour, seen.shape, seen.direction) == (meant.colour, meant.shape, meant.direction)


def test_reconstructions_keep_every_attribute(engine: Engine) -> None:
    """The autoencoder isn't what limits the model."""
    rng = np.random.default_rng(21)
    tally = evaluate.Tally()
    for _ in range(24):
        scene = random_scene(rng, held_out=True)
        frames = clip_of(rng, scene, scene).frames
        tally.compare("kept", scene, look(evaluate.reconstruct(engine, frames)[FIRST_FRAMES:]))
    rates = tally.rates()
    assert rates["kept: background"] == rates["kept: colour"] == rates["kept: direction"] == 1.0
    assert rates["kept: shape"] >= 0.9
