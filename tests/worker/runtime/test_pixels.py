"""Float planes become the same 8-bit pixels, and the same JPEGs, as the formula says."""

import numpy as np
import pytest
from numpy.typing import NDArray

from framewire.worker.runtime.pictures import encode_jpegs
from framewire.worker.runtime.pixels import eight_bit, packed


def formula(planes: NDArray[np.float32]) -> NDArray[np.uint8]:
    """byte(255 * clamp((x + 1) / 2, 0, 1)), as Krea's server has it."""
    levels = ((planes + np.float32(1)) / np.float32(2)).clip(0, 1) * np.float32(255)
    return levels.astype(np.uint8).transpose(0, 2, 3, 1)


@pytest.mark.parametrize("height", [1, 59, 60, 61, 120, 130])
def test_levels_are_the_formulas_at_any_height_and_beyond_the_range(height: int) -> None:
    planes = np.random.default_rng(height).normal(0, 1, (3, 3, height, 40)).astype(np.float32)
    np.testing.assert_array_equal(eight_bit(planes), formula(planes))


def test_every_level_and_its_neighbours_are_cut_off_where_the_formula_cuts() -> None:
    edges = (np.arange(256, dtype=np.float32) / np.float32(127.5)) - np.float32(1)
    near = np.stack([np.nextafter(edges, -2), edges, np.nextafter(edges, 2)])
    planes = np.broadcast_to(near.reshape(1, 3, 1, 256), (1, 3, 4, 256)).astype(np.float32)
    np.testing.assert_array_equal(eight_bit(planes), formula(planes))


def test_what_is_no_number_disturbs_no_other_channel_and_warns_nobody() -> None:
    planes = np.full((1, 3, 2, 2), 1, np.float32)
    for channel in range(3):
        planes[0, channel, 0, 0] = np.nan
        levels = eight_bit(planes)[0, 0, 0]
        assert (np.delete(levels, channel) == 255).all()
        planes[0, channel, 0, 0] = 1


def test_planes_encode_to_the_same_bytes_as_their_levels() -> None:
    planes = np.random.default_rng(2).uniform(-1.2, 1.2, (3, 3, 72, 88)).astype(np.float32)
    assert encode_jpegs(planes) == encode_jpegs(formula(planes))


def test_what_is_8_bit_already_is_not_copied() -> None:
    frames = np.zeros((2, 8, 8, 3), np.uint8)
    assert eight_bit(frames) is frames


def test_pictures_share_one_buffer_so_that_a_block_needs_one_pictures_memory() -> None:
    planes = np.zeros((3, 3, 8, 8), np.float32)
    first, second, _ = packed(planes)
    assert np.shares_memory(first, second)
