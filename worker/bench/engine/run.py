"""The engine's bench: the faithful path first, then each speed option alone, then all together.

Owns the plan of the runs and what each is compared with. Every run builds an engine of its own
from the same weights, so that no option leaves anything behind for the next.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from framewire.worker.backends.presets import build_of, published_engine
from framewire.worker.backends.wan import WanBackend
from framewire.worker.engine.build import Build, random_engine
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.preset import PRESETS as PUBLISHED
from framewire.worker.engine.preset import Preset
from framewire.worker.engine.random_weights import (
    TINY_RANDOM,
    TINY_SELF_FORCING,
    TINY_STREAMDIFFUSIONV2,
)
from framewire.worker.models.setup import ModelSetup

from .flops import block_flops, matmul_rate
from .measure import Measured, Workload, measure
from .variants import variants

PRESETS: Mapping[str, Preset] = {
    **PUBLISHED,
    **{preset.name: preset for preset in (TINY_RANDOM, TINY_SELF_FORCING, TINY_STREAMDIFFUSIONV2)},
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        random_weights: the published shapes without a download; its text encoder is a table, so
            that encoding a prompt costs nothing and 11.4 GB less are held.
        options: names of `variants.OPTIONS`, each measured alone and all together.
    """

    preset: str
    work: Workload
    setup: ModelSetup
    random_weights: bool = False
    options: tuple[str, ...] = ()


def run(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure all variants; the report as it goes into JSON.

    A variant that cannot be had on this machine is reported with the reason.
    """
    preset = PRESETS[plan.preset]
    build = build_of(plan.setup)
    say("how much the device multiplies in a second")
    rate = matmul_rate(build.device, build.dtype)
    rows: list[dict[str, Any]] = []
    faithful: NDArray[np.uint8] | None = None
    for name, options in variants(plan.options, plan.setup.options):
        setup = replace(plan.setup, options=options)
        try:
            measured = _measure(preset, setup, plan, partial(_say_of, say, name))
        except (ValueError, torch.OutOfMemoryError) as error:
            rows.append({"variant": name, "error": str(error).splitlines()[0]})
            continue
        if faithful is None:
            faithful = measured.frames
        work = plan.work
        flops = block_flops(preset, build_of(setup), work.params(preset), live=work.live)
        rows.append(_row(name, measured, faithful, flops, rate))
    return {
        "preset": preset.name,
        "weights": "random" if plan.random_weights else "published",
        "work": asdict(plan.work),
        "machine": _machine(build),
        "matmul_tflops": round(rate / 1e12, 3),
        "variants": rows,
    }


def psnr(frames: NDArray[np.uint8], faithful: NDArray[np.uint8]) -> float | None:
    """Peak signal to noise of frames against others in dB; None where they are equal."""
    error = np.mean((frames.astype(np.float32) - faithful.astype(np.float32)) ** 2)
    return None if error == 0 else float(10 * np.log10(255**2 / error))


def _say_of(say: Callable[[str], None], name: str, step: str) -> None:
    say(f"{name}: {step}")


def _measure(preset: Preset, setup: ModelSetup, plan: Plan, say: Callable[[str], None]) -> Measured:
    build = build_of(setup)

    def engine() -> Engine:
        if plan.random_weights:
            return random_engine(preset, build)
        return published_engine(preset, build)

    return measure(WanBackend(preset, engine, setup), plan.work, say)


def _row(
    name: str, measured: Measured, faithful: NDArray[np.uint8], flops: float, rate: float
) -> dict[str, Any]:
    """One variant's line. The first block's drift is the option's own; later blocks build on it."""
    first, last = measured.first_frames, measured.block_frames
    seconds = measured.block_ms / 1000
    return {
        "variant": name,
        "fps": round(measured.fps, 3),
        "block_ms": round(measured.block_ms, 3),
        "stages_ms": measured.stages,
        "first_frame_ms": round(measured.first_frame_ms, 3),
        "prompt_to_pixel_blocks": measured.steer_blocks,
        "prompt_to_pixel_ms": round(measured.steer_ms, 3),
        "input_to_frame_ms": measured.input_ms and round(measured.input_ms, 3),
        "memory_gb": round(measured.memory_gb, 3),
        "tflop_a_block": round(flops / 1e12, 6),
        "share_of_matmul_rate": round(flops / seconds / rate, 4),
        "psnr_first_block": psnr(measured.frames[:first], faithful[:first]),
        "psnr_settled": psnr(measured.frames[-last:], faithful[-last:]),
    }


def _machine(build: Build) -> dict[str, Any]:
    on_gpu = build.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(build.device) if on_gpu else platform.processor(),
        "capability": list(torch.cuda.get_device_capability(build.device)) if on_gpu else None,
        "threads": torch.get_num_threads(),
        "dtype": str(build.dtype).removeprefix("torch."),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "python": platform.python_version(),
    }
