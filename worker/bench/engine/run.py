"""The engine's bench: one variant after the other, each reported as soon as it is measured.

Owns the plan of the runs and what each is compared with. Every run builds an engine of its own
from the same weights, so that no option leaves anything behind for the next. What fails is a line
of the report, not its end: a command cut short has still said what it knew.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from framewire.worker.backends.presets import absent_parts, build_of, published_engine
from framewire.worker.backends.speed.parts import served_preset
from framewire.worker.backends.speed.resolve import resolve
from framewire.worker.backends.wan import WanBackend
from framewire.worker.engine.build import Build, random_engine
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import Preset
from framewire.worker.engine.random_weights import (
    TINY_FRAMEWISE,
    TINY_LONGLIVE,
    TINY_RANDOM,
    TINY_SELF_FORCING,
    TINY_STREAMDIFFUSIONV2,
)
from framewire.worker.engine.tiny.model import TINY, load_tiny
from framewire.worker.models.catalogue import presets as with_weights
from framewire.worker.models.setup import ModelSetup

from .count import count_block
from .machine import machine, rates
from .measure import Measured, measure
from .peers import compare, find_peer
from .variants import FAITHFUL, Variant
from .workload import Workload

TINY_ONES = (
    TINY,
    TINY_RANDOM,
    TINY_SELF_FORCING,
    TINY_LONGLIVE,
    TINY_FRAMEWISE,
    TINY_STREAMDIFFUSIONV2,
)


def presets() -> Mapping[str, Preset]:
    """All that can be measured, by name."""
    return {**with_weights(), **{preset.name: preset for preset in TINY_ONES}}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is measured.

    Attributes:
        random_weights: the published shapes without a download.
        text_encoder: with random weights, a text encoder of its real size; else it is a table, so
            that encoding a prompt costs nothing and 11.4 GB less are held.
        variants: in their order; the first is what the others' pictures are compared with, if it
            is the faithful one.
        peers: other programs to measure beside, as `peers.find_peer` takes them.
    """

    preset: str
    work: Workload
    setup: ModelSetup
    variants: tuple[Variant, ...]
    random_weights: bool = False
    text_encoder: bool = False
    peers: tuple[str, ...] = ()


@dataclass(slots=True)
class _Known:
    """What one run tells the next."""

    faithful: NDArray[np.uint8] | None = None
    missing: list[str] = field(default_factory=list)
    flops: dict[tuple[int, EngineOptions], float] = field(default_factory=dict)


def run(plan: Plan, say: Callable[[str], None]) -> Iterator[dict[str, Any]]:
    """Measure all variants; each line of the report as it goes into JSON.

    A variant that cannot be had on this machine, or fails on the way, is a line with `error`.
    """
    preset = presets()[plan.preset]
    build = build_of(plan.setup)
    if plan.setup.threads:
        torch.set_num_threads(plan.setup.threads)
    say("how much the device multiplies and copies in a second")
    common = {
        "preset": preset.name,
        "weights": "random" if plan.random_weights else "published",
        "work": asdict(plan.work),
        "machine": machine(build),
        **rates(build),
    }
    known = _Known()
    for variant in plan.variants:
        row: dict[str, Any] = {"variant": variant.label}
        try:
            row |= _measured(preset, plan, variant, known, common, partial(_say_of, say, variant))
        except Exception as error:  # noqa: BLE001 (a kernel, a compiler or a card may raise anything)
            if len(variant.names) == 1:
                known.missing.extend(variant.names)
            row["error"] = _last_line(error)
        yield row | common
    for name in plan.peers:
        row = {"variant": f"peer {name}"}
        try:
            say(f"{name} beside ours")
            row |= compare(find_peer(name), preset, plan.work, build)
        except Exception as error:  # noqa: BLE001 (another's program)
            row["error"] = _last_line(error)
        yield row | common


def psnr(frames: NDArray[np.uint8], faithful: NDArray[np.uint8]) -> float | None:
    """Peak signal to noise of frames against others in dB; None where they are equal."""
    error = np.mean((frames.astype(np.float32) - faithful.astype(np.float32)) ** 2)
    return None if error == 0 else float(10 * np.log10(255**2 / error))


def _say_of(say: Callable[[str], None], variant: Variant, step: str) -> None:
    say(f"{variant.label}: {step}")


def _last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if len(lines) == 1 else f"{type(error).__name__}: {(lines or [''])[-1]}"


def _measured(
    preset: Preset,
    plan: Plan,
    variant: Variant,
    known: _Known,
    common: Mapping[str, Any],
    say: Callable[[str], None],
) -> dict[str, Any]:
    options = variant.options(plan.setup.options, known.missing)
    setup = replace(plan.setup, options=options, speed=variant.speed)
    if plan.work.context is None:
        preset = served_preset(preset, setup)
    build = build_of(setup)
    absent = {} if plan.random_weights or preset.name == TINY.name else absent_parts(preset.name)
    say("trying what makes it fast") if variant.speed != "faithful" else None
    resolved = resolve(preset, setup, build, absent)
    options = resolved.options
    build = replace(build, options=options)
    setup = replace(setup, options=options, speed="faithful")

    def engine() -> Engine:
        if preset.name == TINY.name:
            return load_tiny(build.device, options=options, ranks=backend.ranks, dtype=build.dtype)
        shared = replace(build, ranks=backend.ranks)
        if plan.random_weights:
            return random_engine(preset, shared, text_encoder=plan.text_encoder)
        return published_engine(preset, shared)

    backend = WanBackend(preset, engine, setup, native=plan.work.native)
    measured = measure(backend, plan.work, say)
    if variant.label == FAITHFUL:
        known.faithful = measured.frames
    row = _row(measured, known.faithful)
    flops = _flops(preset, plan.work, build, known.flops)
    seconds = measured.block_ms / 1000
    left_out = [name for name in variant.names if name in known.missing]
    if variant.speed != "faithful":
        row["speed"] = resolved.as_json()
        left_out += resolved.left_out
    return row | {
        "left_out": left_out,
        "tflop_a_block": round(flops / 1e12, 6),
        "share_of_matmul_rate": round(flops / seconds / (common["matmul_tflops"] * 1e12), 4),
    }


def _flops(
    preset: Preset, work: Workload, build: Build, counted: dict[tuple[int, EngineOptions], float]
) -> float:
    """Of a settled block; counted once for all options that leave it as it is."""
    kept = ("decoder", "skip_zero", "context_every", "sink_frames", "batch_steps")
    options = EngineOptions(**{name: getattr(build.options, name) for name in kept})
    key = (preset.context_frames, options)
    if key not in counted:
        counted[key] = count_block(preset, work.params(preset), options, live=work.live).flops
    return counted[key]


def _row(measured: Measured, faithful: NDArray[np.uint8] | None) -> dict[str, Any]:
    """One variant's line. The first block's drift is the option's own; later blocks build on it."""
    row = {
        "fps": round(measured.fps, 3),
        "block_ms": round(measured.block_ms, 3),
        "block_ms_p90": round(measured.block_ms_p90, 3),
        "block_ms_most": round(measured.block_ms_most, 3),
        "stages_ms": measured.stages,
        "first_frame_ms": round(measured.first_frame_ms, 3),
        "prompt_to_pixel_blocks": measured.steer_blocks,
        "prompt_to_pixel_mean_ms": round(statistics.mean(measured.steer_ms), 3),
        "prompt_to_pixel_ms": round(max(measured.steer_ms), 3),
        "input_to_frame_ms": measured.input_ms and round(measured.input_ms, 3),
        "load_s": round(measured.load_s, 3),
        "warm_up_s": round(measured.warm_up_s, 3),
        "memory_gb": round(measured.memory_gb, 3),
        "reserved_gb": round(measured.reserved_gb, 3),
        "attention": measured.attention,
    }
    if faithful is not None:
        first, last = measured.first_frames, measured.block_frames
        row["psnr_first_block"] = psnr(measured.frames[:first], faithful[:first])
        row["psnr_settled"] = psnr(measured.frames[-last:], faithful[-last:])
    return row
