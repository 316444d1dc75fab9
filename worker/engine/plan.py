"""Which passes a block takes: timesteps, noise levels and the modulation of each.

Owns the step from a stream's params to a schedule, and remembers the last ones, so that a block
embeds no timestep. Knows no latents.
"""

from collections import OrderedDict
from dataclasses import dataclass

import torch

from .params import EngineOptions, StreamParams, check_strength
from .preset import Preset
from .schedule import Schedule, SigmaTable, check_timesteps, enter_at, plan_steps
from .transformer import CausalTransformer, Modulation

_PLANS_KEPT = 4


@dataclass(frozen=True)
class BlockPlan:
    """The passes of a block, each with its modulation (float32, one frame wide)."""

    schedule: Schedule
    modulations: tuple[Modulation, ...]


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

    def timesteps(self, params: StreamParams, *, with_input: bool) -> tuple[float, ...]:
        """A block's timesteps. Strength counts only where there is input to keep some of."""
        table = self._table(params.timestep_shift)
        strength = check_strength(params.strength) if with_input else 1.0
        if params.denoising_steps is None:
            return table.spread(params.num_denoising_steps, strength)
        steps = check_timesteps(params.denoising_steps)
        if self._preset.warp_steps:
            steps = table.warp(steps)
        return enter_at(steps, table.spread(1, strength)[0]) if with_input else steps

    def plan(self, params: StreamParams, *, with_input: bool) -> BlockPlan:
        """The plan of the next block, made anew only when what it depends on has changed."""
        timesteps = self.timesteps(params, with_input=with_input)
        key = (params.timestep_shift, timesteps)
        if key not in self._plans:
            schedule = plan_steps(
                timesteps,
                self._table(params.timestep_shift),
                self.loader,
                skip_zero=self._options.skip_final_zero_step,
            )
            modulations = tuple(self._modulation(step.timestep) for step in schedule.steps)
            self._plans[key] = BlockPlan(schedule, modulations)
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
