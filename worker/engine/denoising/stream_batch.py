"""Denoising steps as rows of one batch, each of another block (StreamDiffusionV2's stream batch).

A block enters in the first row and moves on by a row with every pass, so that a pass a block is
enough, and a block comes out clean when it has been in every row.
"""

from __future__ import annotations

import torch
from torch import Tensor

from framewire.worker.engine.interfaces import PassTrace, StageTimer, untimed
from framewire.worker.engine.network.transformer import Modulation
from framewire.worker.engine.schedule import add_noise, clean_latents

from .passes import PassInputs
from .plan import BlockPlan


class StreamBatch:
    """The blocks under way in one stream, but for those of its first block."""

    def __init__(self, size: int) -> None:
        """Begin with `size` empty rows."""
        self.size = size
        self._x: Tensor | None = None
        self._under_way = 0

    def advance(
        self,
        inputs: PassInputs,
        x: Tensor,
        noise: Tensor,
        plan: BlockPlan,
        block: int,
        timer: StageTimer = untimed,
        trace: PassTrace | None = None,
    ) -> Tensor:
        """Take a block in and move all others on; returns the clean latents of the oldest.

        Args:
            inputs: at a place with a position for each row.
            x: noisy latents [F, C, h, w].
            noise: the block's draws; x is made from the first, the others are for the rows.
            plan: of `size` steps.
            block: the block's index, for the trace.

        Returns:
            [F, C, h, w], or [0, C, h, w] while no block has been in every row.
        """
        rest = x.new_zeros(self.size - 1, *x.shape) if self._x is None else self._x
        batch = torch.cat([x[None], rest])  # [size, F, C, h, w]
        steps = plan.schedule.steps
        modulation = Modulation(
            torch.cat([m.embedding for m in plan.modulations]),
            torch.cat([m.projection for m in plan.modulations]),
        )
        with timer("denoise"):
            flow = inputs.flow_of_batch(batch, modulation)
            clean = [
                clean_latents(batch[row], flow[row], step.sigma) for row, step in enumerate(steps)
            ]
            self._x = torch.stack(
                [
                    add_noise(clean[row], noise[row + 1], step.next_sigma)
                    for row, step in enumerate(steps)
                    if step.next_sigma is not None
                ]
            )
        if trace is not None:
            for row, step in enumerate(steps):
                position = inputs.place.positions[row]
                trace("denoise", block - row, position, step.timestep, batch[row], clean[row])
        self._under_way += 1
        return clean[-1] if self._under_way >= self.size else clean[-1][:0]
