"""The shipped model does what prompts say, measured on combinations that it never saw.

The floors in the small tests are what the shipped weights clear with room for chance; the goals
and the whole table are in the model card. `-m slow` prints that table anew.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from train_tiny import evaluate
from train_tiny.captions import vocabulary
from train_tiny.clips import clip_of
from train_tiny.measure import look
from train_tiny.world import random_scene

from framewire.worker.engine import tiny
from framewire.worker.engine.checkpoint import CheckpointError
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.params import StreamParams

WEIGHTS = Path(tiny.__file__).parent / "tiny_weights"
pytestmark = pytest.mark.skipif(not WEIGHTS.is_dir(), reason="the tiny weights are not here")


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


def test_reconstructions_keep_background_colour_and_direction(engine: Engine) -> None:
    """The autoencoder isn't what limits these; shapes of small things it does soften."""
    rng = np.random.default_rng(21)
    tally = evaluate.Tally()
    for index in range(12):
        scene = random_scene(rng, held_out=True)
        frames = clip_of(rng, scene, scene, fresh=index % 2 == 0).frames
        tally.compare("kept", scene, look(evaluate.reconstruct(engine, frames)[9:]))
    rates = tally.rates()
    assert rates["kept background"] == rates["kept colour"] == rates["kept direction"] == 1.0
    assert rates["kept shape"] >= 0.75


def test_held_out_prompts_are_followed_and_steered(engine: Engine) -> None:
    """A part of the table that is small enough for every run."""
    rates = evaluate.adherence(engine, 24, seed=7) | evaluate.steering(engine, 8, seed=8)
    assert rates["later background"] >= 0.8, rates
    assert rates["later colour"] >= 0.8, rates
    assert rates["later direction"] >= 0.5, rates
    assert rates["steered colour, interp_steps=1"] >= 0.75, rates


def test_a_long_stream_does_not_drift(engine: Engine) -> None:
    """Forty blocks later the background is the same and a thing of some colour still there."""
    rates = evaluate.endurance(engine, 2, 40, seed=9)
    assert rates["last 5 background"] >= rates["blocks 1-5 background"] - 0.2, rates
    assert rates["last 5 colour"] >= rates["blocks 1-5 colour"] - 0.3, rates


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_the_whole_table(engine: Engine, capsys: pytest.CaptureFixture[str]) -> None:
    """Print the model card's table; streams of 100 blocks stay within 10 points."""
    rates = evaluate.adherence(engine, 200, seed=1)
    rates |= evaluate.steering(engine, 100, seed=2) | evaluate.endurance(engine, 10, 100, seed=3)
    rates |= evaluate.start_frames(engine, 100, seed=4) | evaluate.live_input(engine, 100, seed=5)
    with capsys.disabled():
        print("\n" + "\n".join(f"{name}: {rate:.3f}" for name, rate in rates.items()))
    for name in ("background", "colour"):
        assert rates[f"last 5 {name}"] >= rates[f"blocks 1-5 {name}"] - 0.1, rates
