"""Keys and values kept between passes: static buffers, one pair a layer.

A preset that rebuilds its context before every block needs them only within a block: one set, the
scratch, then serves every stream, and no token is read that the same block hasn't written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import copy

import torch
from torch import Tensor

from framewire.worker.engine.preset import TransformerDims

from .rope import rotate, time_shift


class KVCache:
    """Keys (normalised and rotated) and values of a window, [B, tokens, heads, head_dim] a layer.

    Which tokens are valid is the caller's to know; the buffers are not cleared.
    """

    def __init__(
        self,
        dims: TransformerDims,
        tokens: int,
        device: torch.device | str,
        dtype: torch.dtype,
        batch: int = 1,
    ) -> None:
        """Allocate room for `tokens` tokens in each of `batch` rows."""
        self.tokens = tokens
        self._head_dim = dims.head_dim
        self._shifts: dict[int, tuple[Tensor, Tensor]] = {}
        self._first: list[Tensor] = []
        self._beside: dict[str, Tensor] = {}
        shape = (batch, tokens, dims.heads, dims.head_dim)
        self.layers: list[tuple[Tensor, Tensor]] = [
            (
                torch.empty(shape, device=device, dtype=dtype),
                torch.empty(shape, device=device, dtype=dtype),
            )
            for _ in range(dims.layers)
        ]

    @property
    def nbytes(self) -> int:
        """Bytes allocated."""
        return sum(k.nbytes + v.nbytes for k, v in self.layers)

    def first_row(self) -> KVCache:
        """The first row by itself, in the same memory."""
        row = copy(self)
        row.layers = [(k[:1], v[:1]) for k, v in self.layers]
        return row

    def replicate(self) -> None:
        """Make every row what the first one is."""
        for k, v in self.layers:
            k[1:], v[1:] = k[:1], v[:1]

    def beside(self, name: str, like: Tensor) -> Tensor:
        """A tensor of the shape of `like` that lives as long as the cache, at one address."""
        if name not in self._beside:
            self._beside[name] = torch.empty_like(like)
        return self._beside[name]

    def fill(self, value: float) -> None:
        """Make all of it one value."""
        _fill(self.layers, value)

    def keeping(self, places: Tensor, count: int) -> Callable[[], None]:
        """Copy `count` tokens from `places` on, int64 [layers, batch]; the call puts them back."""
        rows = torch.arange(places.shape[1], device=places.device)[:, None]
        tokens = places[:, :, None] + torch.arange(count, device=places.device)
        kept = [(k[rows, at], v[rows, at]) for (k, v), at in zip(self.layers, tokens, strict=True)]

        def restore() -> None:
            for (k, v), at, (keys, values) in zip(self.layers, tokens, kept, strict=True):
                k[rows, at], v[rows, at] = keys, values

        return restore

    def keep_last(self, held: int, kept: int, pinned: int, frame_tokens: int) -> None:
        """Of `held` frames keep the first `pinned` and the last ones, `kept` in all, in order."""
        gone = held - kept
        if gone and kept > pinned:
            source, count = (pinned + gone) * frame_tokens, (kept - pinned) * frame_tokens
            self.roll(source, pinned * frame_tokens, count, gone)

    def bring(self, frames: Sequence[int], target: int, frame_tokens: int) -> None:
        """Copy these frames, in this order, to the places from frame `target` on."""
        last = (target + len(frames)) * frame_tokens
        for layer in self.layers:
            for whole in layer:
                parts = [whole[:, f * frame_tokens : (f + 1) * frame_tokens] for f in frames]
                whole[:, target * frame_tokens : last] = torch.cat(parts, dim=1)

    def turn(self, first: int, last: int, frames: int) -> None:
        """Move the keys of tokens [first, last) `frames` in time, where they are."""
        cos, sin = time_shift(self._head_dim, frames, self.layers[0][0].device)
        for k, _ in self.layers:
            k[:, first:last] = rotate(k[:, first:last], cos, sin)

    def remember_first(self, tokens: int) -> None:
        """Keep a copy of the first `tokens` keys as they are now, for `turn_first`."""
        self._first = [k[:, :tokens].clone() for k, _ in self.layers]

    def turn_first(self, frames: int) -> None:
        """Make the first keys what `remember_first` kept of them, moved `frames` in time."""
        cos, sin = time_shift(self._head_dim, frames, self.layers[0][0].device)
        for (k, _), kept in zip(self.layers, self._first, strict=True):
            k[:, : kept.shape[1]] = rotate(kept, cos, sin)

    def frame_means(self, slots: Tensor, frame_tokens: int) -> tuple[Tensor, Tensor]:
        """Means of keys and of values of one frame a row, each [layers, batch, heads * head_dim].

        Args:
            slots: which frame of each layer and row, int64 [layers, batch].
        """
        batch = slots.shape[1]
        rows = torch.arange(batch, device=slots.device)
        means: tuple[list[Tensor], list[Tensor]] = ([], [])
        for index, layer in enumerate(self.layers):
            for whole, found in zip(layer, means, strict=True):
                frames = whole.view(batch, -1, frame_tokens, *whole.shape[2:])
                frame = frames[rows, slots[index]]
                found.append(frame.mean(1, dtype=torch.float32).flatten(1))
        return torch.stack(means[0]), torch.stack(means[1])

    def roll(self, source: int, target: int, count: int, frames: int) -> None:
        """Move `count` tokens from `source` back to `target`, and their keys `frames` in time.

        Keys carry their rotation, so one that moves to an earlier position is turned back by the
        frames in between; the buffers stay where they are.
        """
        if frames not in self._shifts:
            device = self.layers[0][0].device
            self._shifts[frames] = time_shift(self._head_dim, -frames, device)
        cos, sin = self._shifts[frames]
        for k, v in self.layers:
            k[:, target : target + count] = rotate(k[:, source : source + count], cos, sin)
            v[:, target : target + count] = v[:, source : source + count].clone()


class TextCache:
    """Keys and values of one prompt in every layer, and whose they are.

    Rewritten only when other prompt embeds come into use, or other strengths of adapters that change
    text.
    """

    def __init__(
        self, dims: TransformerDims, device: torch.device | str, dtype: torch.dtype
    ) -> None:
        """Allocate room for one prompt."""
        shape = (1, dims.text_tokens, dims.heads, dims.head_dim)
        self.layers: list[tuple[Tensor, Tensor]] = [
            (
                torch.empty(shape, device=device, dtype=dtype),
                torch.empty(shape, device=device, dtype=dtype),
            )
            for _ in range(dims.layers)
        ]
        self.embeds: Tensor | None = None
        self.strengths: tuple[float, ...] = ()

    def fill(self, value: float) -> None:
        """Make all of it one value."""
        _fill(self.layers, value)


def _fill(layers: list[tuple[Tensor, Tensor]], value: float) -> None:
    for keys, values in layers:
        keys.fill_(value)
        values.fill_(value)
