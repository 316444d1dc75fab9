"""Frames leave the engine as the pixels that the reference makes, on whatever path."""

import pytest

torch = pytest.importorskip("torch")

from framewire.worker.engine.parts import eight_bit
from framewire.worker.levels import eight_bit as eight_bit_planes


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_levels_are_the_formulas_whatever_the_dtype(dtype: torch.dtype) -> None:
    pixels = torch.randn(3, 3, 40, 24, generator=torch.Generator().manual_seed(1)).to(dtype)
    levels = ((pixels.float() + 1) / 2).clamp(0, 1) * 255
    expected = levels.to(torch.uint8).permute(0, 2, 3, 1)
    assert eight_bit(pixels).is_contiguous()
    assert torch.equal(eight_bit(pixels), expected)


def test_planes_converted_while_encoding_have_the_same_levels() -> None:
    pixels = torch.randn(2, 3, 130, 24, generator=torch.Generator().manual_seed(2))
    assert torch.equal(eight_bit(pixels), torch.from_numpy(eight_bit_planes(pixels.numpy())))
