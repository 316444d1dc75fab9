"""Where a stream's random numbers come from: a seed, block by block, or a recording.

Every number is drawn in float32 on the CPU, in a fixed order, so that a seed means the same picture
on every device, and no draw depends on how long the stream will be.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor


class NoiseSource(Protocol):
    """The noise of one stream."""

    def next_block(self) -> Tensor:
        """The next block's draws, float32 [draws, F, C, h, w]: its start, then one a step."""
        ...

    def prepare(self) -> None:
        """Draw the next block's noise now, while the device is busy with something else."""
        ...


class SeededNoise:
    """Noise from a seed. The same seed and shape give the same blocks, however many are drawn."""

    def __init__(
        self,
        seed: int,
        shape: tuple[int, ...],
        *,
        first_frames: int | None = None,
        pin: bool = False,
    ) -> None:
        """Begin the stream of `seed`; `shape` is [draws, F, C, h, w] of every block.

        Args:
            first_frames: F of the first block, where it is another.
            pin: put draws in pinned memory, so that copying them to a GPU waits for nothing.
        """
        self._generator = torch.Generator(device="cpu").manual_seed(seed)
        self._shape = shape
        self._next_shape = (shape[0], first_frames or shape[1], *shape[2:])
        self._pin = pin
        self._ready: Tensor | None = None

    def prepare(self) -> None:
        """Draw the next block's noise now, unless it has been drawn."""
        if self._ready is not None:
            return
        ready = torch.empty(self._next_shape, dtype=torch.float32, pin_memory=self._pin)
        for draw in ready:
            torch.randn(draw.shape, generator=self._generator, out=draw)
        self._ready, self._next_shape = ready, self._shape

    def next_block(self) -> Tensor:
        """The next block's draws, float32 [draws, F, C, h, w]."""
        self.prepare()
        assert self._ready is not None
        ready, self._ready = self._ready, None
        return ready


class GivenNoise:
    """Recorded noise, for replaying a session of another implementation."""

    def __init__(self, blocks: Iterable[Tensor]) -> None:
        """Take the draws of each block in turn, each [draws, F, C, h, w]."""
        self._blocks: Iterator[Tensor] = iter(blocks)

    def prepare(self) -> None:
        """Nothing: the numbers are there."""

    def next_block(self) -> Tensor:
        """The next recorded block.

        Raises:
            ValueError: the recording has ended.
        """
        block = next(self._blocks, None)
        if block is None:
            raise ValueError("the given noise has no further block")
        return block
