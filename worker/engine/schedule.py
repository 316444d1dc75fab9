"""Noise levels: the sigma table, the timesteps of a block, and the two formulas that use them.

Flow matching with a timestep shift as Self-Forcing and its descendants define it: x_t =
(1 - sigma) x0 + sigma noise, and the network predicts flow = noise - x0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor

TRAIN_STEPS = 1000
MIN_STRENGTH = 0.01


class SigmaTable:
    """The 1000 training noise levels under one timestep shift, from all noise to almost none.

    sigma_i = shift u / (1 + (shift - 1) u) with u = 1 - i / 1000; timestep_i = 1000 sigma_i.
    """

    def __init__(self, shift: float) -> None:
        """Build the table for `shift` (1 leaves the levels even)."""
        self.shift = shift
        even = torch.linspace(1.0, 0.0, TRAIN_STEPS + 1)[:-1]
        self.sigmas = shift * even / (1 + (shift - 1) * even)  # [1000]
        self.timesteps = self.sigmas * TRAIN_STEPS  # [1000]

    def sigma(self, timestep: float) -> float:
        """The noise level of the table's entry nearest to `timestep` (so sigma(0) is not 0)."""
        return float(self.sigmas[(self.timesteps - timestep).abs().argmin()])

    def place(self, sigma: float) -> float:
        """Where a noise level is in the table, as the level that it has before the shift."""
        return sigma / (self.shift - (self.shift - 1) * sigma)

    def spread(self, count: int, strength: float = 1.0) -> tuple[float, ...]:
        """Timesteps of `count` steps, evenly spread before the shift, from `strength` down to 0.

        The rule of Krea's server: position 1000 - trunc(linspace(1000 strength, 0, count)) in the
        table extended by 0, so that two steps and more always end in a pass at timestep 0.
        """
        extended = torch.cat([self.timesteps, torch.zeros(1)])
        places = torch.linspace(TRAIN_STEPS * strength, 0.0, count).long()
        return tuple(extended[TRAIN_STEPS - places].tolist())

    def spread_above(self, count: int, strength: float = 1.0) -> tuple[float, ...]:
        """Timesteps of `count` steps, evenly spread before the shift, the last one step above 0.

        The rule of Self-Forcing: four steps are 1000, 750, 500 and 250 before the shift.
        """
        top = TRAIN_STEPS * strength
        return self.warp([top * (1 - i / count) for i in range(count)])

    def warp(self, timesteps: Sequence[float]) -> tuple[float, ...]:
        """Timesteps on the even grid moved to this table's."""
        extended = torch.cat([self.timesteps, torch.zeros(1)])
        places = torch.tensor([TRAIN_STEPS - round(t) for t in timesteps])
        return tuple(extended[places].tolist())


@dataclass(frozen=True)
class DenoisingStep:
    """One pass of a block.

    Attributes:
        timestep: what the network is told, 0-1000.
        sigma: the noise level by which its flow is turned into clean latents.
        next_sigma: the level to which they are noised again, None after the last pass. Levels
            are tensors of one number where work on them is recorded and replayed with others.
    """

    timestep: float
    sigma: float | Tensor
    next_sigma: float | Tensor | None


@dataclass(frozen=True)
class Schedule:
    """The passes of a block, and the noise level that its input pictures are mixed to."""

    steps: tuple[DenoisingStep, ...]

    @property
    def start_sigma(self) -> float:
        """The noise in the first pass's input: its timestep as a fraction."""
        return self.steps[0].timestep / TRAIN_STEPS


def plan_steps(
    timesteps: Sequence[float], noising: SigmaTable, loader: SigmaTable, *, skip_zero: bool = False
) -> Schedule:
    """Look up the noise levels of a block's timesteps.

    Args:
        timesteps: strictly falling, 0-1000.
        noising: the session's table, for noising clean latents again.
        loader: the preset's table, for turning flows into clean latents.
        skip_zero: leave out a last pass at timestep 0, which changes the latents by half a
            percent of the flow only.
    """
    kept = list(timesteps)
    if skip_zero and len(kept) > 1 and kept[-1] == 0:
        kept.pop()
    following: list[float | None] = [noising.sigma(t) for t in kept[1:]]
    return Schedule(
        tuple(
            DenoisingStep(timestep, loader.sigma(timestep), after)
            for timestep, after in zip(kept, [*following, None], strict=True)
        )
    )


def enter_at(timesteps: Sequence[float], first: float) -> tuple[float, ...]:
    """Explicit timesteps begun at the lower of their own first and `first` (input's strength)."""
    start = min(first, timesteps[0])
    return (start, *(t for t in timesteps if t < start))


def check_timesteps(timesteps: Sequence[float]) -> tuple[float, ...]:
    """Timesteps as given, if they are some, strictly falling and within 0-1000.

    Raises:
        ValueError: they are not.
    """
    given = tuple(float(t) for t in timesteps)
    falling = all(a > b for a, b in pairwise(given))
    if not given or not falling or not 0 <= given[-1] <= given[0] <= TRAIN_STEPS:
        raise ValueError(
            f"denoising_steps must be strictly falling timesteps within 0-1000, got {list(given)}"
        )
    return given


def add_noise(x0: Tensor, noise: Tensor, sigma: float | Tensor) -> Tensor:
    """Mix clean latents with noise to the level `sigma`; shapes equal, any."""
    return (1 - sigma) * x0 + sigma * noise


def clean_latents(x: Tensor, flow: Tensor, sigma: float | Tensor) -> Tensor:
    """The clean latents that the predicted flow implies: x - sigma flow, in float32."""
    return x.float() - sigma * flow.float()
