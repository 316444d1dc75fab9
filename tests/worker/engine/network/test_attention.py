"""Attention by groups and ranges against one masked softmax, and rotary positions."""

import math

import pytest
import torch
from torch import Tensor

from framewire.worker.engine.network.attention import attend, block_group, causal_groups
from framewire.worker.engine.network.kv_cache import KVCache
from framewire.worker.engine.network.rope import rope_table, rotate
from framewire.worker.engine.preset import TransformerDims

HEADS, WIDTH, TOKENS = 2, 16, 5


def tensors(queries: int, keys: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    return tuple(
        torch.randn(1, count, HEADS, WIDTH, generator=generator) for count in (queries, keys, keys)
    )


def plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
    scores = torch.einsum("blhd,bshd->bhls", q, k) / math.sqrt(WIDTH) + mask
    return torch.einsum("bhls,bshd->blhd", scores.softmax(-1), v)


@pytest.mark.parametrize("frames", range(1, 13))
def test_context_groups_equal_a_block_causal_mask(frames: int) -> None:
    """Groups of three from the first frame on; the last may be smaller, and nobody sees padding."""
    q, k, v = tensors(frames * TOKENS, frames * TOKENS)
    frame = torch.arange(frames).repeat_interleave(TOKENS)
    mask = torch.where(frame[None] // 3 <= frame[:, None] // 3, 0.0, -torch.inf)
    actual = attend(q, k, v, causal_groups(frames, 3, TOKENS))
    assert (actual - plain(q, k, v, mask)).abs().max() < 1e-5


@pytest.mark.parametrize("context", [0, 1, 2, 5])
@pytest.mark.parametrize("bias", [1.0, 0.3, 0.01])
def test_bias_is_added_to_the_scores_of_past_frames_but_the_first(
    context: int, bias: float
) -> None:
    """Keys beyond the block are never read: they are NaN."""
    keys = (context + 3) * TOKENS
    q, k, v = tensors(3 * TOKENS, keys)
    frame = torch.arange(context + 3).repeat_interleave(TOKENS)
    mask = torch.where((frame >= 1) & (frame < context), math.log(bias), 0.0)[None]
    expected = plain(q, k, v, mask)
    beyond = torch.full((1, TOKENS, HEADS, WIDTH), torch.nan)
    actual = attend(
        q,
        torch.cat([k, beyond], 1),
        torch.cat([v, beyond], 1),
        block_group(context, 3, TOKENS, bias),
    )
    assert (actual - expected).abs().max() < 1e-5


def test_rotation_is_wans_complex_product_on_three_axes() -> None:
    """22/21/21 pairs of 64 for time, row and column, each with its own frequencies."""
    rows, columns, frames = 3, 4, 2
    rope = rope_table(128, frames, rows, columns)
    x = torch.randn(1, frames * rows * columns, 1, 128, generator=torch.Generator().manual_seed(0))
    place = torch.cartesian_prod(*(torch.arange(n) for n in (frames, rows, columns))).double()
    angles = torch.cat(
        [
            place[:, axis, None] * 10000 ** -(torch.arange(pairs).double() / pairs)
            for axis, pairs in enumerate((22, 21, 21))
        ],
        dim=-1,
    )
    turned = torch.view_as_complex(x.double().unflatten(-1, (-1, 2)))
    turned = turned * torch.polar(torch.ones_like(angles), angles)[None, :, None]
    expected = torch.view_as_real(turned).flatten(-2).float()
    assert (rotate(x, *rope.at(0, frames)) - expected).abs().max() < 1e-5


def test_rolled_keys_equal_keys_rotated_at_their_new_place() -> None:
    """Rolling a cache turns its keys back in time only, and leaves what stays in place alone."""
    dims = TransformerDims(layers=1, heads=HEADS, ffn_dim=8, head_dim=WIDTH)
    rope = rope_table(WIDTH, 6, 2, 2)
    x = torch.randn(1, 6 * 4, HEADS, WIDTH, generator=torch.Generator().manual_seed(0))
    cache = KVCache(dims, 24, "cpu", torch.float32)
    keys, values = cache.layers[0]
    keys.copy_(rotate(x, *rope.at(0, 6)))
    values.copy_(x)
    cache.roll(source=3 * 4, target=1 * 4, count=3 * 4, frames=2)
    assert (keys[:, 4:16] - rotate(x[:, 12:24], *rope.at(1, 3))).abs().max() < 1e-5
    assert torch.equal(values[:, 4:16], x[:, 12:24])
    assert torch.equal(keys[:, :4], rotate(x, *rope.at(0, 6))[:, :4])
