"""The presets that a worker can serve, and how each becomes an engine.

Owns their names, what each needs, and whether it is here. Loads no torch until a preset is built,
or a GPU has to be looked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from importlib import resources
from typing import TYPE_CHECKING, Any

from framewire.worker.models.adapters import chosen_adapters
from framewire.worker.models.catalogue import catalogue, gigabytes, presets
from framewire.worker.models.setup import ModelSetup

from .base import Backend
from .devices import device_of

if TYPE_CHECKING:
    from framewire.worker.engine.build import Build
    from framewire.worker.engine.engine import Engine
    from framewire.worker.engine.preset import Preset, TransformerDims

TINY_WEIGHTS = "tiny/weights/model.safetensors"
TINY_PRESETS = {
    "tiny-random": "TINY_RANDOM",
    "tiny-self-forcing": "TINY_SELF_FORCING",
    "tiny-longlive": "TINY_LONGLIVE",
    "tiny-framewise": "TINY_FRAMEWISE",
    "tiny-streamdiffusionv2": "TINY_STREAMDIFFUSIONV2",
}
"""Tiny networks with random weights in the loop of each published model; constants of the engine's
`random_weights`."""
_TINY_ABSENT = {
    "taehv": "this model has a decoder of its own",
    "tune-convolutions": "this model's are laid out so already",
}
"""What of a speed means nothing to `tiny`."""
INSTALL = "pip install 'framewire[models]'"
ELSE = "framewire-worker serve --backend testcard"


@dataclass(frozen=True, slots=True)
class ServablePreset:
    """One preset.

    Attributes:
        missing: says in a few words what this machine lacks for it; empty where nothing.
        make: the backend, not yet loaded.
    """

    name: str
    missing: Callable[[ModelSetup], str]
    make: Callable[[ModelSetup], Backend]


def servable_presets() -> dict[str, ServablePreset]:
    """All presets by name."""
    known = (
        *(
            ServablePreset(name, partial(_published_missing, name), partial(_published, name))
            for name in catalogue()
        ),
        ServablePreset("tiny", _tiny_missing, _tiny),
        *(
            ServablePreset(name, lambda setup: _torch_missing(), partial(_random, constant))
            for name, constant in TINY_PRESETS.items()
        ),
    )
    return {preset.name: preset for preset in known}


def build_of(setup: ModelSetup) -> Build:
    """The engine's build of a setup, its devices and dtypes resolved."""
    import torch

    from framewire.worker.engine.build import Build

    device = device_of(setup)
    on_gpu = device.type == "cuda"
    dtypes = {name: getattr(torch, name) for name in ("float32", "float16", "bfloat16")}
    if setup.dtype != "auto" and setup.dtype not in dtypes:
        raise ValueError(f"dtype {setup.dtype!r}: choose one of auto, {', '.join(dtypes)}")
    half = torch.bfloat16 if on_gpu else torch.float32
    return Build(
        device=device,
        dtype=dtypes.get(setup.dtype, half),
        vae_dtype=torch.float16 if on_gpu else torch.float32,
        options=setup.options,
        live_adapters=setup.lora_live,
    )


def _with_adapters(build: Build, setup: ModelSetup, dims: TransformerDims, name: str) -> Build:
    """The build with the adapters of a setup, which were read once, to see that they fit.

    Raises:
        ValueError: one is not here, or made for another model.
    """
    from framewire.worker.engine.lora.chosen import read_chosen
    from framewire.worker.engine.lora.live import check_live

    chosen = chosen_adapters(setup, name)
    for adapter, _ in read_chosen(chosen, dims):
        if setup.lora_live:
            check_live(adapter)
    return replace(build, adapters=chosen)


def _torch_missing() -> str:
    absent = [name for name in ("torch", "diffusers") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(absent)} ({INSTALL})" if absent else ""


def _published_missing(name: str, setup: ModelSetup) -> str:
    entry = catalogue()[name]
    lacks = []
    if importlib.util.find_spec("huggingface_hub") is None:
        return f"huggingface_hub ({INSTALL})"
    missing = entry.missing(_option(setup))
    if missing:
        size = gigabytes(sum(file.bytes for file in missing))
        decoder = " --decoder taehv" if setup.options.decoder == "taehv" else ""
        lacks.append(f"{size} of weights (framewire-worker pull {entry.preset}{decoder})")
    absent = _torch_missing()
    if absent:
        lacks.append(absent)
    elif setup.device == "auto" and device_of(setup).type == "cpu":
        lacks.append(f"a GPU (it needs {entry.needs})")
    return " and ".join(reversed(lacks))


def published_engine(preset: Preset, build: Build) -> Engine:
    """An engine of the preset's published weights, which lie on this machine.

    Raises:
        FileNotFoundError: a file isn't here; says how to get it.
        CheckpointError: a file cannot be used.
    """
    from framewire.worker.engine.build import WeightFiles, load_engine

    entry = catalogue()[preset.name]
    files = WeightFiles(
        transformer=entry.paths("transformer"),
        text=entry.paths("tokenizer")[0].parent.parent,
        vae=entry.paths("vae")[0],
        adapter=entry.paths("adapter")[0] if preset.adapter_section else None,
        taehv=entry.paths("taehv")[0] if build.options.decoder == "taehv" else None,
    )
    return load_engine(preset, files, build)


def _published(name: str, setup: ModelSetup) -> Backend:
    from framewire.worker.engine.context.memory import check_loop

    from .speed.parts import served_preset
    from .speed.resolve import resolve
    from .wan import WanBackend

    preset = served_preset(presets()[name], setup)
    build = _with_adapters(build_of(setup), setup, preset.dims, name)
    check_loop(preset, build.options)
    backend = WanBackend(
        preset,
        lambda: published_engine(
            preset, replace(build, ranks=backend.ranks, options=backend.options)
        ),
        setup,
        adapters=build.adapters,
        resolve=partial(resolve, preset, setup, build, absent_parts(name)),
    )
    return backend


def _random(constant: str, setup: ModelSetup) -> Backend:
    from framewire.worker.engine import random_weights
    from framewire.worker.engine.build import random_engine
    from framewire.worker.engine.context.memory import check_loop

    from .speed.parts import served_preset
    from .speed.resolve import resolve
    from .wan import WanBackend

    preset = served_preset(getattr(random_weights, constant), setup)
    build = _with_adapters(build_of(setup), setup, preset.dims, preset.name)
    check_loop(preset, build.options)
    backend = WanBackend(
        preset,
        lambda: random_engine(preset, replace(build, ranks=backend.ranks, options=backend.options)),
        setup,
        adapters=build.adapters,
        resolve=partial(resolve, preset, setup, build),
    )
    return backend


def _tiny_missing(setup: ModelSetup) -> str:
    weights = resources.files("framewire.worker") / "engine" / TINY_WEIGHTS
    return _torch_missing() or ("" if weights.is_file() else "its weights (not in this package)")


def _tiny(setup: ModelSetup) -> Backend:
    from framewire.worker.engine.context.memory import check_loop

    tiny: Any = importlib.import_module("framewire.worker.engine.tiny.model")

    from .speed.parts import served_preset
    from .speed.resolve import resolve
    from .wan import WanBackend

    # Of tensors this small, more threads wait for each other as soon as anything runs beside.
    dtype = "float32" if setup.dtype == "auto" else setup.dtype
    setup = replace(setup, threads=setup.threads or 1, dtype=dtype)
    if "skip_zero" not in setup.given:
        setup = replace(setup, options=replace(setup.options, skip_zero=True))
    build = _with_adapters(build_of(setup), setup, tiny.TINY.dims, tiny.TINY.name)
    check_loop(served_preset(tiny.TINY, setup), setup.options)
    backend = WanBackend(
        tiny.TINY,
        lambda: tiny.load_tiny(
            build.device,
            options=backend.options,
            ranks=backend.ranks,
            adapters=build.adapters,
            live_adapters=build.live_adapters,
            dtype=build.dtype,
        ),
        setup,
        native=True,
        adapters=build.adapters,
        resolve=partial(resolve, tiny.TINY, setup, build, _TINY_ABSENT),
    )
    return backend


def absent_parts(name: str) -> dict[str, str]:
    """What parts of a speed need and isn't here of a published preset's files, by part."""
    missing = catalogue()[name].missing("--decoder taehv")
    if not missing:
        return {}
    return {"taehv": f"its weights are not here (framewire-worker pull {name} --decoder taehv)"}


def _option(setup: ModelSetup) -> str:
    return "--decoder taehv" if setup.options.decoder == "taehv" else ""
