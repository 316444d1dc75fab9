"""From a speed to the options that it means on this machine.

A switch that was set by hand stays as it was set. Of the rest each part is put on top of those
before it, if nothing that it needs is missing and it proves itself; else it is left out.
"""

from __future__ import annotations

import importlib.util
import logging
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch

from framewire.worker.backends.devices import devices_of
from framewire.worker.engine.build import Build
from framewire.worker.engine.context.memory import check_loop
from framewire.worker.engine.network.kernels import candidates, lacks
from framewire.worker.engine.network.speed import fp8_products
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import Preset
from framewire.worker.engine.ranks.leader import check_ranks
from framewire.worker.models.setup import ModelSetup

from .parts import ATTENTION, Part, Resolved, bound, parts_of, shorter_context
from .proof import Prover, Subject, Unproven

logger = logging.getLogger(__name__)

BY_HAND = "set by hand"


def resolve(
    preset: Preset,
    setup: ModelSetup,
    build: Build,
    absent: Mapping[str, str] | None = None,
    prover_of: Callable[[Subject, float], Prover] = Prover,
) -> Resolved:
    """The options of `setup`, with what its speed adds to them.

    Each part that is tried and left out is warned of; what cannot be here at all is only listed.

    Args:
        absent: what is not here, by the part that needs it.
    """
    options, speed = setup.options, setup.speed
    if speed == "faithful":
        return Resolved(speed, options)
    kernels, left_out = _kernels(build)
    done: list[Part] = []
    subject = Subject(
        preset,
        str(build.device),
        str(build.dtype).removeprefix("torch."),
        str(build.vae_dtype).removeprefix("torch."),
        setup.threads,
    )
    with prover_of(subject, setup.speed_timeout) as prover:
        for part in parts_of(speed, kernels):
            if any(one.options.keys() == part.options.keys() for one in done):
                continue  # an attention that comes first has proven itself
            candidate = replace(options, **part.options)
            reason = (absent or {}).get(part.name) or _lacks(part, preset, setup, build, candidate)
            if not reason and candidate != options:
                logger.info("%s: trying %s in a process of its own", preset.name, part.name)
                reason = _failing(prover, candidate, subject.dtype)
                if reason:
                    logger.warning(
                        "%s: --speed %s goes without %s: %s", preset.name, speed, part.name, reason
                    )
            if reason:
                left_out[part.name] = reason
            elif candidate != options:
                options = candidate
                done.append(part)
    shorter = shorter_context(preset, setup)
    if shorter:
        done.insert(0, _context(preset, shorter))
    costs = {part.name: part.costs for part in done if part.costs}
    return Resolved(speed, options, tuple(part.name for part in done), left_out, costs)


def _context(preset: Preset, frames: int) -> Part:
    costs = (
        f"blocks see {frames} latent frames before themselves, not {preset.contexts[-1]}: what has "
        "left the picture is forgotten sooner"
    )
    return Part(f"context-{frames}", {}, costs)


def _failing(prover: Prover, candidate: EngineOptions, dtype: str) -> str:
    """Why it cannot be used; empty where it can."""
    try:
        error = prover.error(candidate)
    except Unproven as reason:
        return str(reason)
    most = bound(candidate, dtype)
    if not error <= most:
        return f"its result is off by {error:.2%} of the plain one (at most {most:.2%})"
    return ""


def _kernels(build: Build) -> tuple[list[str], dict[str, str]]:
    """The attention kernels that may be here, and what the others lack."""
    if build.device.type != "cuda":
        return [], {ATTENTION: "it needs an NVIDIA GPU; torch's own is used"}
    capability = torch.cuda.get_device_capability(build.device)
    missing = {one.name: lacks(one, capability) for one in candidates()}
    here = [name for name, what in missing.items() if not what]
    return here, {f"{ATTENTION}-{name}": what for name, what in missing.items() if what}


def _lacks(
    part: Part, preset: Preset, setup: ModelSetup, build: Build, candidate: EngineOptions
) -> str:
    """What this part would need and isn't here; empty where nothing."""
    if not setup.given.isdisjoint(part.options):
        return BY_HAND
    on_gpu = build.device.type == "cuda"
    if candidate.cuda_graph and not on_gpu:
        return "it needs an NVIDIA GPU"
    if candidate.fp8 and not fp8_products(build.device):
        return "it needs an NVIDIA GPU of compute capability 8.9 or more (Ada, Hopper)"
    if candidate.fp8 and importlib.util.find_spec("torchao") is None:
        return "it needs torchao: pip install 'framewire[fp8]'"
    if candidate.fp8 and not candidate.compile:
        return "without compile it is slower, not faster"
    if part.name == "skip-zero" and not _has_pass_at_zero(preset):
        return "this model makes no pass at timestep 0"
    try:
        check_loop(preset, candidate)
        if len(devices_of(setup)) > 1:
            check_ranks(preset, candidate, len(devices_of(setup)))
    except ValueError as error:
        return str(error)
    return ""


def _has_pass_at_zero(preset: Preset) -> bool:
    if preset.text_steps is not None:
        return preset.text_steps[-1] == 0
    return preset.steps is None and preset.last_step == "at_zero"
