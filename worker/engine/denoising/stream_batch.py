"""Denoising steps as lanes of one batch, each on another block (StreamDiffusionV2's stream batch).

Owns what is under way: a block enters in the first lane and moves on by a lane with every pass, so
that a pass a block is enough, and a block comes out clean when it has been in every lane.
"""

import torch
from torch import Tensor

from framewire.worker.engine.interfaces import PassTrace, StageTimer
from framewire.worker.engine.network.transformer import Modulation
from framewire.worker.engine.schedule import add_noise, clean_latents

from .passes import PassInputs
from .plan import BlockPlan


class StreamBatch:
    """The blocks under way in one stream, but for those of its first block."""

    def __init__(self, lanes: int) -> None:
        """Begin with empty lanes."""
        self.count = lanes
        self._x: Tensor | None = None
        self._under_way = 0

    def advance(
        self,
        at: PassInputs,
        x: Tensor,
        noise: Tensor,
        plan: BlockPlan,
        timer: StageTimer,
        trace: PassTrace | None = None,
        where: tuple[int, tuple[int, ...]] = (0, ()),
    ) -> Tensor:
        """Take a block in and move all others on; returns the clean latents of the oldest.

        Args:
            x: noisy latents [F, C, h, w].
            noise: the block's draws; x is made from the first, the others are for the lanes.
            plan: of `count` steps.
            where: the block's index and the lanes' positions, for the trace.

        Returns:
            [F, C, h, w], or [0, C, h, w] while no block has been in every lane.
        """
        rest = x.new_zeros(self.count - 1, *x.shape) if self._x is None else self._x
        batch = torch.cat([x[None], rest])  # [lanes, F, C, h, w]
        steps = plan.schedule.steps
        modulation = Modulation(
            torch.cat([m.embedding for m in plan.modulations]),
            torch.cat([m.projection for m in plan.modulations]),
        )
        with timer("denoise"):
            flow = at.flow_of_lanes(batch, modulation)
            clean = [
                clean_latents(batch[lane], flow[lane], step.sigma)
                for lane, step in enumerate(steps)
            ]
            self._x = torch.stack(
                [
                    add_noise(clean[lane], noise[lane + 1], step.next_sigma)
                    for lane, step in enumerate(steps)
                    if step.next_sigma is not None
                ]
            )
        if trace is not None:
            for lane, step in enumerate(steps):
                position = where[1][lane]
                trace("denoise", where[0] - lane, position, step.timestep, batch[lane], clean[lane])
        self._under_way += 1
        return clean[-1] if self._under_way >= self.count else clean[-1][:0]
