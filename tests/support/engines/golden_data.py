"""Where the golden tensors are, and what to do when they are not.

Owns the folder lookup, the skip-or-fail rule and reading a session; knows nothing of the engine.
"""

import json
import os
from functools import cache
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors.torch import load_file
from support import required

EXACT = 1e-4
"""Largest absolute difference allowed against tensors stored as float32."""
SHARED = 1e-5
"""Between a session of one process and the same of several, which add up in another order."""
FROM_PIXELS = 1e-3
"""Largest absolute difference allowed where pixels stored as float16 enter."""

_DEFAULT = Path(__file__).resolve().parents[4] / "shared" / "golden"


def golden_root() -> Path:
    """The folder that holds `krea/`, `streamdiffusionv2/` and `longlive/`, whether or not it exists."""
    return Path(os.environ.get("FRAMEWIRE_GOLDEN", str(_DEFAULT)))


def absent(what: str) -> NoReturn:
    """Skip the test because `what` is not there; fail it where `golden` is required."""
    required.absent(
        "golden", f"golden data is not there: {what} (set FRAMEWIRE_GOLDEN to its folder)"
    )


def golden_file(*parts: str) -> Path:
    """The path of one golden file; skips or fails the calling test if it is absent."""
    path = golden_root().joinpath(*parts)
    if not path.is_file():
        absent(str(path))
    return path


@cache
def _tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_file(path)


def tensors(*parts: str) -> dict[str, torch.Tensor]:
    """All tensors of one golden safetensors file, e.g. `tensors("krea", "vae.safetensors")`."""
    return dict(_tensors(golden_file(*parts)))


def manifest() -> dict[str, Any]:
    """The Krea manifest as parsed JSON; skips or fails the calling test if it is absent."""
    content: dict[str, Any] = json.loads(golden_file("krea", "manifest.json").read_text())
    return content


def session_names() -> list[str]:
    """The sessions that the Krea manifest lists, for parametrising; empty if it is absent."""
    path = golden_root() / "krea" / "manifest.json"
    if not path.is_file():
        return []
    return list(json.loads(path.read_text())["sessions"])


def streamdiffusionv2_names() -> list[str]:
    """The StreamDiffusionV2 sessions in the folder, for parametrising; empty if it is absent."""
    return sorted(path.stem for path in (golden_root() / "streamdiffusionv2").glob("*.json"))


def longlive_names() -> list[str]:
    """The LongLive sessions in the folder, for parametrising; empty if it is absent."""
    described = {path.stem for path in (golden_root() / "longlive").glob("*.json")}
    return sorted(described - {"manifest"})


def difference(actual: torch.Tensor, expected: torch.Tensor) -> float:
    """Largest absolute difference in float32; the shapes must be equal."""
    assert actual.shape == expected.shape, f"{tuple(actual.shape)} != {tuple(expected.shape)}"
    return float((actual.float() - expected.float()).abs().max())
