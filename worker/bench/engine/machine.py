"""What the bench ran on: the card, and the versions of what decides its speed."""

from __future__ import annotations

import importlib.metadata
import platform
from typing import Any

import torch

from framewire.worker.engine.build import Build

from .rates import copy_rate, fp8_rate, matmul_rate

_PACKAGES = ("diffusers", "transformers", "triton", "torchao", "flash-attn", "sageattention")


def machine(build: Build) -> dict[str, Any]:
    """Names and versions, as they go into JSON."""
    on_gpu = build.device.type == "cuda"
    cudnn: Any = torch.backends.cudnn
    return {
        "device": torch.cuda.get_device_name(build.device) if on_gpu else platform.processor(),
        "capability": list(torch.cuda.get_device_capability(build.device)) if on_gpu else None,
        "threads": torch.get_num_threads(),
        "dtype": str(build.dtype).removeprefix("torch."),
        "torch": str(torch.__version__),
        "cuda": torch.version.cuda,
        "cudnn": cudnn.version() if on_gpu else None,
        "python": platform.python_version(),
        "packages": {name: version for name in _PACKAGES if (version := _version(name))},
    }


def rates(build: Build) -> dict[str, float | None]:
    """What the device does in a second: TFLOP of a large product, the same in fp8, GB of a copy."""
    device = build.device
    fast = device.type == "cuda" and torch.cuda.get_device_capability(device) >= (8, 9)
    return {
        "matmul_tflops": round(matmul_rate(device, build.dtype) / 1e12, 3),
        "fp8_tflops": round(fp8_rate(device) / 1e12, 3) if fast else None,
        "copy_gb": round(copy_rate(device) / 1e9, 1),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
