"""Rotary positions of latent tokens on three axes (time, row, column), as real numbers.

The split of a head's channels is Wan's: rows and columns get a third of the pairs each, rounded
down, time the rest; pairs are interleaved channels.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

_THETA = 10000.0


@dataclass(frozen=True)
class Rope:
    """Cosines and sines of every token of a window, computed once for its geometry.

    Attributes:
        cos: float32 [frames * tokens_per_frame, head_dim], each pair's value twice; `sin`
            likewise, negative at even channels.
        tokens_per_frame: tokens of one latent frame.
    """

    cos: Tensor
    sin: Tensor
    tokens_per_frame: int

    def at(self, first_frame: int, frames: int) -> tuple[Tensor, Tensor]:
        """The rows of `frames` frames from position `first_frame` on, as views."""
        first = first_frame * self.tokens_per_frame
        last = first + frames * self.tokens_per_frame
        return self.cos[first:last], self.sin[first:last]


def rope_table(
    head_dim: int, frames: int, rows: int, columns: int, device: torch.device | str = "cpu"
) -> Rope:
    """Compute the table of a window of `frames` latent frames of rows x columns tokens."""
    angles = torch.cat(
        [
            _angles(pairs, size).view(*shape, pairs).expand(frames, rows, columns, pairs)
            for pairs, size, shape in zip(
                _split(head_dim),
                (frames, rows, columns),
                ((frames, 1, 1), (1, rows, 1), (1, 1, columns)),
                strict=True,
            )
        ],
        dim=-1,
    ).flatten(0, 2)  # [tokens, head_dim / 2]
    return Rope(*_by_channel(angles, device), rows * columns)


def time_shift(head_dim: int, frames: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Cosines and sines [1, head_dim] that move rotated keys by `frames` frames in time."""
    time, rows, columns = _split(head_dim)
    angles = torch.cat([frames * _frequencies(time), torch.zeros(rows + columns).double()])
    return _by_channel(angles[None], device)


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the channel pairs of x [B, L, H, D] by the angles of its tokens, in float32.

    Args:
        cos: [L, D] or [1, D], as in `Rope`, or [B, L, D]; `sin` likewise.
    """
    x32 = x.float()
    swapped = x32.reshape(*x.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return (x32 * cos.unsqueeze(-2) + swapped * sin.unsqueeze(-2)).type_as(x)


def _by_channel(angles: Tensor, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines [L, D], float32, of angles [L, D / 2]."""
    cos = angles.cos().repeat_interleave(2, dim=-1)
    sin = torch.stack([-angles.sin(), angles.sin()], dim=-1).flatten(-2)
    return cos.to(device, torch.float32), sin.to(device, torch.float32)


def _split(head_dim: int) -> tuple[int, int, int]:
    pairs = head_dim // 2
    return pairs - 2 * (pairs // 3), pairs // 3, pairs // 3


def _frequencies(pairs: int) -> Tensor:
    return _THETA ** -(torch.arange(pairs, dtype=torch.float64) / max(pairs, 1))


def _angles(pairs: int, positions: int) -> Tensor:
    """Float64 [positions, pairs]."""
    return torch.outer(torch.arange(positions, dtype=torch.float64), _frequencies(pairs))
