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
        """The rows of `frames` frames from position `first_frame` on; views, within the table."""
        first = first_frame * self.tokens_per_frame
        last = first + frames * self.tokens_per_frame
        if last <= self.cos.shape[0]:
            return self.cos[first:last], self.sin[first:last]
        return self._later(first_frame, frames)

    def _later(self, first_frame: int, frames: int) -> tuple[Tensor, Tensor]:
        """Past the table: rows and columns are those of any frame, and time is computed."""
        head_dim = self.cos.shape[1]
        time = _split(head_dim)[0]
        angles = _angles(time, frames, first_frame, self.cos.device)
        rows = (frames, self.tokens_per_frame, -1)
        whole = []
        for part, table in zip(_by_channel(angles), (self.cos, self.sin), strict=True):
            space = table[: self.tokens_per_frame, 2 * time :]
            whole.append(torch.cat([part[:, None].expand(*rows), space.expand(*rows)], -1))
        return whole[0].flatten(0, 1), whole[1].flatten(0, 1)


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
    cos, sin = _by_channel(angles)
    return Rope(cos.to(device), sin.to(device), rows * columns)


def time_shift(head_dim: int, frames: int, device: torch.device | str) -> tuple[Tensor, Tensor]:
    """Cosines and sines [1, head_dim] that move rotated keys by `frames` frames in time."""
    time, rows, columns = _split(head_dim)
    still = torch.zeros(rows + columns, dtype=torch.float64, device=device)
    return _by_channel(torch.cat([frames * _frequencies(time, device), still])[None])


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotate the channel pairs of x [B, L, H, D] by the angles of its tokens, in float32.

    Args:
        cos: [L, D] or [1, D], as in `Rope`, or [B, L, D]; `sin` likewise.
    """
    x32 = x.float()
    swapped = x32.reshape(*x.shape[:-1], -1, 2).flip(-1).flatten(-2)
    return (x32 * cos.unsqueeze(-2) + swapped * sin.unsqueeze(-2)).type_as(x)


def _by_channel(angles: Tensor) -> tuple[Tensor, Tensor]:
    """Cosines and signed sines [L, D], float32, of angles [L, D / 2]."""
    cos = torch.stack([angles.cos(), angles.cos()], dim=-1).flatten(-2)
    sin = torch.stack([-angles.sin(), angles.sin()], dim=-1).flatten(-2)
    return cos.float(), sin.float()


def _split(head_dim: int) -> tuple[int, int, int]:
    pairs = head_dim // 2
    return pairs - 2 * (pairs // 3), pairs // 3, pairs // 3


def _frequencies(pairs: int, device: torch.device | str = "cpu") -> Tensor:
    steps = torch.arange(pairs, dtype=torch.float64, device=device)
    return _THETA ** -(steps / max(pairs, 1))


def _angles(
    pairs: int, positions: int, first: int = 0, device: torch.device | str = "cpu"
) -> Tensor:
    """Float64 [positions, pairs], from position `first` on."""
    places = torch.arange(first, first + positions, dtype=torch.float64, device=device)
    return torch.outer(places, _frequencies(pairs, device))
