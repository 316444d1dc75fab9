"""The presets that a worker can serve, and how each becomes an engine.

Owns their names, what each needs, and whether it is here. Loads no torch until a preset is built,
or a GPU has to be looked for.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

from framewire.worker.models.catalogue import catalogue, gigabytes
from framewire.worker.models.setup import ModelSetup

from .base import Backend

if TYPE_CHECKING:
    import torch

    from framewire.worker.engine.assembly import Build

TINY_WEIGHTS = "tiny_weights/model.safetensors"
INSTALL = "pip install 'framewire[models]'"
ELSE = "framewire-worker serve --backend testcard"


@dataclass(frozen=True, slots=True)
class Served:
    """One preset.

    Attributes:
        missing: says in a few words what this machine lacks for it; empty where nothing.
        make: the backend, not yet loaded.
    """

    name: str
    missing: Callable[[ModelSetup], str]
    make: Callable[[ModelSetup], Backend]


def served() -> dict[str, Served]:
    """All presets by name."""
    known = (
        Served("krea-realtime-14b", _krea_missing, _krea),
        Served("tiny", _tiny_missing, _tiny),
        Served("tiny-random", lambda setup: _torch_missing(), _tiny_random),
    )
    return {preset.name: preset for preset in known}


def build_of(setup: ModelSetup) -> Build:
    """The engine's build of a setup, its devices and dtypes settled."""
    import torch

    from framewire.worker.engine.assembly import Build
    from framewire.worker.engine.params import EngineOptions

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
        decoder=setup.decoder,
        attention=setup.attention,
        fuse_qkv=setup.fuse_qkv,
        fp8=setup.fp8,
        compile=setup.compile,
        cuda_graph=setup.cuda_graph,
        options=EngineOptions(
            skip_final_zero_step=setup.skip_zero, context_every=setup.context_every
        ),
    )


def device_of(setup: ModelSetup) -> torch.device:
    """The device that a setup means.

    Raises:
        ValueError: torch knows no such device.
    """
    import torch

    if setup.device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        return torch.device(setup.device)
    except RuntimeError as error:
        raise ValueError(f"device {setup.device!r}: {str(error).splitlines()[0]}") from error


def _torch_missing() -> str:
    absent = [name for name in ("torch", "diffusers") if importlib.util.find_spec(name) is None]
    return f"{' and '.join(absent)} ({INSTALL})" if absent else ""


def _krea_missing(setup: ModelSetup) -> str:
    entry = catalogue()["krea-realtime-14b"]
    lacks = []
    if importlib.util.find_spec("huggingface_hub") is None:
        return f"huggingface_hub ({INSTALL})"
    missing = entry.missing(_option(setup))
    if missing:
        size = gigabytes(sum(file.bytes for file in missing))
        decoder = " --decoder taehv" if setup.decoder == "taehv" else ""
        lacks.append(f"{size} of weights (framewire-worker pull {entry.preset}{decoder})")
    absent = _torch_missing()
    if absent:
        lacks.append(absent)
    elif setup.device == "auto" and device_of(setup).type == "cpu":
        lacks.append(f"a GPU (it needs {entry.needs})")
    return " and ".join(reversed(lacks))


def _krea(setup: ModelSetup) -> Backend:
    from framewire.worker.engine.assembly import WeightFiles, load_engine
    from framewire.worker.engine.preset import KREA_REALTIME_14B

    from .wan import WanBackend

    entry = catalogue()["krea-realtime-14b"]
    build = build_of(setup)
    taehv = entry.paths("taehv")[0] if setup.decoder == "taehv" else None
    tokenizer: Path = entry.paths("tokenizer")[0]
    files = WeightFiles(
        transformer=entry.paths("transformer"),
        text=tokenizer.parent.parent,
        vae=entry.paths("vae")[0],
        taehv=taehv,
    )
    return WanBackend(
        KREA_REALTIME_14B, lambda: load_engine(KREA_REALTIME_14B, files, build), setup
    )


def _tiny_random(setup: ModelSetup) -> Backend:
    from framewire.worker.engine.assembly import random_engine
    from framewire.worker.engine.random_parts import TINY_RANDOM

    from .wan import WanBackend

    build = build_of(setup)
    return WanBackend(TINY_RANDOM, lambda: random_engine(TINY_RANDOM, build), setup)


def _tiny_missing(setup: ModelSetup) -> str:
    weights = resources.files("framewire.worker") / "engine" / TINY_WEIGHTS
    return _torch_missing() or ("" if weights.is_file() else "its weights (not in this package)")


def _tiny(setup: ModelSetup) -> Backend:
    tiny: Any = importlib.import_module("framewire.worker.engine.tiny")

    from .wan import WanBackend

    device = device_of(setup)
    return WanBackend(tiny.TINY, lambda: tiny.load_tiny(device), setup, native=True)


def _option(setup: ModelSetup) -> str:
    return "--decoder taehv" if setup.decoder == "taehv" else ""
