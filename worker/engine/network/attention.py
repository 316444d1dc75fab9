"""Attention of tokens to keys, behind one function.

Which keys a query sees is said by groups; some keys can weigh less, by a merge of attentions.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class KeyRange(NamedTuple):
    """Keys [first, last) whose scores have `bias` added (0: plain)."""

    first: int
    last: int
    bias: float = 0.0


class Group(NamedTuple):
    """Queries [first, last) that see the same keys: the union of disjoint ranges."""

    first: int
    last: int
    keys: tuple[KeyRange, ...]


Kernel = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Softmax attention of q [B, H, L, D] to all of k and v [B, H, S, D]: [B, H, L, D]."""


def sdpa(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """PyTorch's attention, by whichever kernel it chooses."""
    return F.scaled_dot_product_attention(q, k, v)


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    groups: tuple[Group, ...] | None = None,
    kernel: Kernel = sdpa,
) -> Tensor:
    """Softmax attention of q [B, L, H, D] to k and v [B, S, H, D]: [B, L, H, D].

    Args:
        groups: which queries see which keys; they cover q in order. None: all see all.
        kernel: used where no keys are weighed less than others.
    """
    q, k, v = (x.transpose(1, 2) for x in (q, k, v))  # [B, H, L, D]
    if groups is None:
        return kernel(q, k, v).transpose(1, 2)
    parts = [
        _attend_group(q[:, :, group.first : group.last], k, v, group, kernel) for group in groups
    ]
    out = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
    return out.transpose(1, 2)


def attend_rows(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    per_row: tuple[tuple[Group, ...], ...],
    kernel: Kernel = sdpa,
) -> Tensor:
    """Like `attend`, with groups of its own for every row of the batch."""
    parts = [
        attend(q[row : row + 1], k[row : row + 1], v[row : row + 1], groups, kernel)
        for row, groups in enumerate(per_row)
    ]
    return torch.cat(parts)


def _attend_group(q: Tensor, k: Tensor, v: Tensor, group: Group, kernel: Kernel) -> Tensor:
    """One group's attention [B, H, L, D].

    Adding a constant to the scores of a range adds it to the range's log-sum-exp, so ranges can
    be attended to apart, by plain kernels, and their outputs averaged by exp(log-sum-exp).
    """
    ranges = [KeyRange(*r) for r in group.keys]
    if len(ranges) == 1:
        only = ranges[0]
        return kernel(q, k[:, :, only.first : only.last], v[:, :, only.first : only.last])
    outs, sums = [], []
    for r in ranges:
        out, lse = _with_log_sum_exp(q, k[:, :, r.first : r.last], v[:, :, r.first : r.last])
        outs.append(out)
        sums.append(lse + r.bias)
    weights = torch.stack(sums).softmax(dim=0)  # [ranges, B, H, L]
    merged = sum(
        (out.float() * weight[..., None] for out, weight in zip(outs, weights, strict=True)),
        start=torch.zeros((), device=q.device),
    )
    return merged.type_as(q)


def _with_log_sum_exp(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
    """Attention [B, H, L, D] and the log-sum-exp of its scores, float32 [B, H, L]."""
    if q.is_cpu:
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(q, k, v)[:2]
    elif q.dtype in (torch.float16, torch.bfloat16):
        out, lse = torch.ops.aten._scaled_dot_product_flash_attention(q, k, v)[:2]
    else:
        out, lse = torch.ops.aten._scaled_dot_product_efficient_attention(q, k, v, None, True)[:2]
        lse = lse[..., : q.shape[2]]
    return out, lse.float()


def causal_groups(frames: int, group_frames: int, tokens: int) -> tuple[Group, ...]:
    """Block-causal attention of a context to itself: a group sees all up to its own end.

    Args:
        frames: latent frames of the context; groups are counted from its first.
        tokens: tokens of a latent frame.
    """
    starts = range(0, frames, group_frames)
    ends = [min(start + group_frames, frames) for start in starts]
    return tuple(
        Group(start * tokens, end * tokens, (KeyRange(0, end * tokens),))
        for start, end in zip(starts, ends, strict=True)
    )


def block_group(context: int, frames: int, tokens: int, bias: float = 1.0) -> tuple[Group, ...]:
    """Attention of a block to its context and itself.

    Args:
        context: latent frames before the block's `frames` in the cache.
        bias: weight in (0, 1] of the context's frames but the first; 1 is plain attention.
    """
    end = (context + frames) * tokens
    if bias == 1.0 or context < 2:
        keys: tuple[KeyRange, ...] = (KeyRange(0, end),)
    else:
        past = context * tokens
        keys = (KeyRange(0, tokens), KeyRange(tokens, past, math.log(bias)), KeyRange(past, end))
    return (Group(0, frames * tokens, keys),)
