"""Noise by seed: its order, its independence of length, and replay."""

import pytest
import torch

from framewire.worker.engine.denoising.noise import GivenNoise, SeededNoise

SHAPE = (3, 3, 16, 4, 6)


def test_drawing_ahead_changes_no_number() -> None:
    """Whether a block's noise is prepared, even twice, or drawn when asked for is the same."""
    ahead, late = SeededNoise(1, SHAPE), SeededNoise(1, SHAPE)
    for _ in range(3):
        ahead.prepare()
        ahead.prepare()
        assert torch.equal(ahead.next_block(), late.next_block())


def test_a_seed_is_one_generator_drawn_in_the_order_of_use() -> None:
    """Start noise, then one draw a step, float32: the numbers are pinned, as seeds are promises."""
    block = SeededNoise(42, SHAPE).next_block()
    generator = torch.Generator().manual_seed(42)
    expected = torch.stack([torch.randn(SHAPE[1:], generator=generator) for _ in range(3)])
    assert block.dtype == torch.float32
    assert torch.equal(block, expected)
    assert block.flatten()[:3].tolist() == pytest.approx(
        [1.92691529, 1.48728406, 0.90071720], abs=1e-5
    )


def test_later_blocks_and_other_seeds_are_other_noise() -> None:
    """No block repeats."""
    source = SeededNoise(1, SHAPE)
    first, second = source.next_block(), source.next_block()
    assert (first - second).abs().mean() > 0.5
    assert (first - SeededNoise(2, SHAPE).next_block()).abs().mean() > 0.5


def test_given_noise_ends_with_its_recording() -> None:
    """A replay that wants more than was recorded says so."""
    source = GivenNoise([torch.zeros(SHAPE)])
    source.prepare()
    assert source.next_block().shape == SHAPE
    with pytest.raises(ValueError, match="no further block"):
        source.next_block()
