"""The input side of a stream: how many pictures a block takes, and how much noise motion leaves."""

import pytest
from support.engines.live_stream import live, live_params, pictures
from support.engines.tiny_engine import STREAMDIFFUSIONV2, tiny_engine

from framewire.worker.engine.input_encoder import NoiseScale
from framewire.worker.engine.preset import MotionController


def test_five_pictures_make_five_frames_then_four_make_four() -> None:
    """Two latents first, then one a block."""
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open("a fox", live_params())
    wanted = []
    made = []
    for _ in range(4):
        wanted.append(generation.pictures_needed)
        made.append(len(live(generation, 1)[0]))
    assert wanted == made == [5, 4, 4, 4]


def test_the_noise_scale_follows_the_formula() -> None:
    """scale = 0.9 (asked - 0.1 motion) + 0.1 before; motion is RMS change over 0.2, at most 1."""
    scale = NoiseScale(MotionController())
    assert scale.next(0.8, pictures(5), controlled=True) == 0.8
    still = scale.next(0.8, pictures(4), controlled=True)
    assert still == pytest.approx(0.9 * 0.8 + 0.1 * 0.8)
    step = scale.next(0.8, pictures(4, level=110), controlled=True)
    motion = (10 / 127.5) / 0.2
    assert step == pytest.approx(0.9 * (0.8 - 0.1 * motion) + 0.1 * still)
    cut = scale.next(0.8, pictures(4, level=250), controlled=True)
    assert cut == pytest.approx(0.9 * (0.8 - 0.1) + 0.1 * step)
    at_rest = scale.next(0.8, pictures(4, level=250), controlled=True)
    assert cut < step < still
    assert at_rest == pytest.approx(0.9 * 0.8 + 0.1 * cut)


def test_the_noise_scale_never_falls_below_the_least_strength() -> None:
    """Little strength and much motion still leave a pass to make."""
    scale = NoiseScale(MotionController())
    levels = [0, 250, 0, 250, 0, 250]
    found = [scale.next(0.02, pictures(4, level=level), controlled=True) for level in levels]
    assert found[1:] == [0.01] * 5


def test_the_noise_controller_is_steered_live_and_sets_the_first_timestep() -> None:
    """Moving input lowers scale and step; switched off, both are what was asked for."""
    told: list[float] = []
    generation = tiny_engine(preset=STREAMDIFFUSIONV2).open(
        "a fox", live_params(), trace=lambda kind, block, at, t, x, x0: told.append(t)
    )
    live(generation, 1)
    live(generation, 1, noise=100)
    assert told[:2] == [700, 500]
    assert told[2] < 650
    generation.steer(noise_controller=False)
    live(generation, 1, noise=100, seed=1)
    assert told[4:6] == [700, 500]
    generation.steer(strength=0.55)
    live(generation, 1)
    assert told[6:] == [450]
