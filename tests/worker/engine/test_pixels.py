"""Pictures: input of any size fits a session's, and frames leave as the reference's levels."""

import pytest
import torch
from torch import Tensor

from framewire.worker.engine.pixels import eight_bit, fit


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_levels_are_the_formulas_whatever_the_dtype(dtype: torch.dtype) -> None:
    pixels = torch.randn(3, 3, 40, 24, generator=torch.Generator().manual_seed(1)).to(dtype)
    levels = ((pixels.float() + 1) / 2).clamp(0, 1) * 255
    expected = levels.to(torch.uint8).permute(0, 2, 3, 1)
    assert eight_bit(pixels).is_contiguous()
    assert torch.equal(eight_bit(pixels), expected)


def noise(rows: int, columns: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randint(0, 256, (rows, columns, 3), generator=generator, dtype=torch.uint8)


def banded(rows: int, columns: int, axis: int) -> Tensor:
    """Red in the middle half along an axis, blue on both sides."""
    picture = torch.zeros(rows, columns, 3, dtype=torch.uint8)
    picture[..., 2] = 255
    length = picture.shape[axis]
    middle = picture.narrow(axis, length // 4, length // 2)
    middle[..., 0], middle[..., 2] = 255, 0
    return picture


def test_a_picture_of_the_right_size_stays_as_it_is() -> None:
    picture = noise(16, 24)
    assert torch.equal(fit(picture, 16, 24), picture)


def test_a_picture_that_only_needs_cutting_is_not_resampled() -> None:
    picture = noise(16, 40)
    fitted = fit(picture, 16, 24)
    assert torch.equal(fitted, picture[:, 8:32]) and fitted.is_contiguous()


@pytest.mark.parametrize(("rows", "columns", "axis"), [(64, 128, 1), (128, 64, 0)])
def test_what_is_too_wide_or_high_is_cut_off_both_sides(rows: int, columns: int, axis: int) -> None:
    fitted = fit(banded(rows, columns, axis), 32, 32)
    red = torch.tensor([255, 0, 0], dtype=torch.uint8).expand(32, 32, 3)
    assert torch.equal(fitted, red)


@pytest.mark.parametrize("size", [(7, 5), (1, 1), (1, 300), (33, 17), (1000, 3)])
@pytest.mark.parametrize("target", [(16, 48), (48, 16)])
def test_any_size_fits_without_overflowing_a_byte(
    size: tuple[int, int], target: tuple[int, int]
) -> None:
    picture = noise(*size) // 128 * 255  # black and white: the overshoot is largest
    fitted = fit(picture, *target)
    assert fitted.shape == (*target, 3) and fitted.dtype == torch.uint8 and fitted.is_contiguous()
    white = fit(torch.full((*size, 3), 255, dtype=torch.uint8), *target)
    assert white.min() == 255


def test_growing_a_step_neither_wraps_nor_leaves_its_sides() -> None:
    step = torch.zeros(8, 8, 3, dtype=torch.uint8)
    step[:, 4:] = 255
    grown = fit(step, 64, 64).int()
    assert (grown[:, :28] < 16).all() and (grown[:, 36:] > 239).all()


def test_shrinking_averages_instead_of_skipping_pixels() -> None:
    stripes = torch.zeros(64, 64, 3, dtype=torch.uint8)
    stripes[:, ::2] = 255
    assert (fit(stripes, 16, 16)[:, 1:-1].int() - 127).abs().max() < 16


@pytest.mark.parametrize(
    "picture",
    [
        torch.zeros(4, 4, 3),
        torch.zeros(3, 4, 4, dtype=torch.uint8),
        torch.zeros(4, 4, dtype=torch.uint8),
        torch.zeros(0, 4, 3, dtype=torch.uint8),
    ],
)
def test_what_is_no_picture_is_refused(picture: Tensor) -> None:
    with pytest.raises(ValueError, match=r"expected a uint8 picture|no pixels"):
        fit(picture, 16, 16)
