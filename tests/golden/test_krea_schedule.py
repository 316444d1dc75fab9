"""Sigma tables, schedules and the two formulas, against the reference's numbers."""

import re

import pytest
import torch
from support.engines import golden_data

from framewire.worker.engine.schedule import SigmaTable, add_noise, clean_latents


def test_golden_krea_schedules_of_every_shift_strength_and_step_count() -> None:
    """Every recorded schedule and table comes out of the same shift, strength and step count."""
    recorded = golden_data.tensors("krea", "scheduler.safetensors")
    compared = 0
    for name, expected in recorded.items():
        table_of = re.fullmatch(r"shift([\d.]+)\.(sigmas|timesteps)", name)
        steps_of = re.fullmatch(r"shift([\d.]+)\.strength([\d.]+)\.steps(\d+)", name)
        if table_of:
            actual = getattr(SigmaTable(float(table_of[1])), table_of[2])
        elif steps_of:
            table = SigmaTable(float(steps_of[1]))
            actual = torch.tensor(table.spread(int(steps_of[3]), float(steps_of[2])))
        else:
            continue
        compared += 1
        assert golden_data.difference(actual, expected) <= golden_data.EXACT, name
    assert compared == sum(name.startswith("shift") for name in recorded) > 0


@pytest.mark.parametrize("formula", ["add_noise", "x0"])
def test_golden_krea_noise_formulas(formula: str) -> None:
    """Noising and denoising look sigma up at the nearest entry, also at timestep 0 and between."""
    recorded = golden_data.tensors("krea", "scheduler.safetensors")
    table = SigmaTable(5.0)
    for index, timestep in enumerate(recorded["add_noise.t"].tolist()):
        sigma = table.sigma(timestep)
        if formula == "add_noise":
            x, noise = recorded["add_noise.x"][index], recorded["add_noise.n"][index]
            actual = add_noise(x, noise, sigma)
        else:
            actual = clean_latents(recorded["x0.xt"][index], recorded["x0.flow"][index], sigma)
        expected = recorded[f"{formula}.out"][index]
        assert golden_data.difference(actual, expected) <= golden_data.EXACT, timestep
