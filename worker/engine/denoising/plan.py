"""Which passes a block takes: timesteps, noise levels and the modulation of each.

The last plans are remembered, so that a block embeds no timestep.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, replace

import torch

from framewire.worker.engine.network.transformer import CausalTransformer, Modulation
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.params import StreamParams, check_strength
from framewire.worker.engine.preset import Preset
from framewire.worker.engine.schedule import (
    TRAIN_STEPS,
    Schedule,
    SigmaTable,
    check_timesteps,
    enter_at,
    plan_steps,
)

_PLANS_KEPT = 4


@dataclass(frozen=True)
class BlockPlan:
    """The passes of a block, each with its modulation (float32, one frame wide).

    Attributes:
        start_sigma: the noise that input pictures are mixed with.
    """

    schedule: Schedule
    modulations: tuple[Modulation, ...]
    start_sigma: float


class Planner:
    """Plans of one stream's blocks."""

    def __init__(
        self, preset: Preset, options: EngineOptions, transformer: CausalTransformer
    ) -> None:
        """Build the loader's table and the modulation of context passes."""
        self._preset = preset
        self._options = options
        self._transformer = transformer
        self._tables: dict[float, SigmaTable] = {}
        self._plans: OrderedDict[tuple[object, ...], BlockPlan] = OrderedDict()
        self.loader = SigmaTable(preset.loader_shift)
        self.context_modulation = self._modulation(0.0)

    def timesteps(
        self, params: StreamParams, *, with_input: bool, first: bool = False
    ) -> tuple[float, ...]:
        """A block's timesteps. Strength counts only where there is input to keep some of.

        Args:
            first: of a stream's first block.
        """
        if first:
            count = max(params.num_denoising_steps, self._preset.first_block_steps)
            params = replace(params, num_denoising_steps=count)
        preset, table = self._preset, self._table(params.timestep_shift)
        strength = check_strength(params.strength) if with_input else 1.0
        if preset.strength_is_noise_level:
            strength = table.place(strength)
        if params.denoising_steps is not None:
            steps = check_timesteps(params.denoising_steps)
        elif not with_input and preset.text_steps is not None:
            return preset.text_steps
        elif preset.steps is not None:
            steps = preset.steps[: params.num_denoising_steps]
        elif preset.last_step == "above":
            return table.spread_above(params.num_denoising_steps, strength)
        else:
            return table.spread(params.num_denoising_steps, strength)
        if not with_input:
            return steps
        if preset.first_step_offset is not None:
            highest = max(0.0, int(TRAIN_STEPS * strength) - preset.first_step_offset)
            if self._options.batch_steps:  # as many steps as rows, always
                return (highest, *(min(t, highest) for t in steps[1:]))
            return (highest, *(t for t in steps[1:] if t < highest))
        return enter_at(steps, table.spread(1, strength)[0])

    def batch_size(self, params: StreamParams) -> int:
        """How many blocks are denoised together: one a step where steps are batched."""
        if not self._options.batch_steps:
            return 1
        return len(self.timesteps(params, with_input=True))

    def plan(self, params: StreamParams, *, with_input: bool, first: bool = False) -> BlockPlan:
        """The plan of the next block, made anew only when what it depends on has changed.

        Args:
            params: with the strength of this block, as a motion controller leaves it.
            first: of a stream's first block.
        """
        timesteps = self.timesteps(params, with_input=with_input, first=first)
        plan = self._plan(params.timestep_shift, timesteps)
        if self._preset.first_step_offset is not None:
            return replace(plan, start_sigma=check_strength(params.strength))
        return plan

    def _plan(self, shift: float, timesteps: tuple[float, ...]) -> BlockPlan:
        key = (shift, timesteps)
        if key not in self._plans:
            schedule = plan_steps(
                timesteps,
                self._table(shift),
                self.loader,
                skip_zero=self._options.skip_zero,
            )
            modulations = tuple(self._modulation(step.timestep) for step in schedule.steps)
            self._plans[key] = BlockPlan(schedule, modulations, schedule.start_sigma)
        self._plans.move_to_end(key)
        if len(self._plans) > _PLANS_KEPT:
            self._plans.popitem(last=False)
        return self._plans[key]

    def _table(self, shift: float) -> SigmaTable:
        if shift not in self._tables:
            self._tables = {shift: SigmaTable(shift)}
        return self._tables[shift]

    def _modulation(self, timestep: float) -> Modulation:
        with torch.no_grad():
            return self._transformer.modulation(torch.tensor([[timestep]]))
