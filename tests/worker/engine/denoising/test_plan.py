"""How many passes a block takes, and at which timesteps."""

import pytest
from support.engines.tiny_engine import TINY, tiny_engine

from framewire.worker.engine.denoising.plan import Planner
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import (
    CAUSAL_FORCING_FRAMEWISE_1_3B,
    CAUSAL_FORCING_FRAMEWISE_1STEP_1_3B,
    CAUSAL_FORCING_FRAMEWISE_2STEP_1_3B,
    Preset,
)

FOUR = [1000.0, 937.5, 833.333, 625.0]


def steps(preset: Preset, *, first: bool, **params: object) -> list[float]:
    engine = tiny_engine(preset=preset.with_dims("small", TINY))
    planner = Planner(engine.preset, engine.options, engine.transformer)
    given = StreamParams.of(engine.preset, **params)
    return [
        step.timestep for step in planner.plan(given, with_input=False, first=first).schedule.steps
    ]


@pytest.mark.parametrize(
    ("preset", "later"),
    [
        (CAUSAL_FORCING_FRAMEWISE_1_3B, FOUR),
        (CAUSAL_FORCING_FRAMEWISE_2STEP_1_3B, [1000.0, 833.333]),
        (CAUSAL_FORCING_FRAMEWISE_1STEP_1_3B, [1000.0]),
    ],
)
def test_frame_by_frame_the_first_block_takes_four_steps_and_later_ones_what_they_are_made_for(
    preset: Preset, later: list[float]
) -> None:
    """1000, 750, 500 and 250 before the shift of 5; 1000 and 500; or 1000 alone."""
    assert steps(preset, first=True) == pytest.approx(FOUR, abs=1e-2)
    assert steps(preset, first=False) == pytest.approx(later, abs=1e-2)


def test_a_first_block_takes_more_steps_where_all_do_and_those_that_are_named() -> None:
    preset = CAUSAL_FORCING_FRAMEWISE_2STEP_1_3B
    assert len(steps(preset, first=True, num_denoising_steps=6)) == 6
    assert steps(preset, first=True, denoising_steps=(900.0, 300.0)) == [900.0, 300.0]
