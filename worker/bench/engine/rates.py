"""What a device does in a second at all: multiply in large products, and copy."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

import torch

_SIDE = {"cuda": 8192, "cpu": 1024}
_COPY_BYTES = {"cuda": 4_000_000_000, "cpu": 256_000_000}
_TIMES = 10


def matmul_rate(device: torch.device, dtype: torch.dtype) -> float:
    """Operations a second of a large product, the median of a few."""
    side = _SIDE.get(device.type, _SIDE["cpu"])
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    return 2 * side**3 / _median_seconds(lambda: left @ right, device)


def fp8_rate(device: torch.device) -> float:
    """The same in 8 bits, scaled row by row as the fp8 option does it; a GPU that multiplies them."""
    side = _SIDE["cuda"]
    kind, scales = torch.float8_e4m3fn, torch.ones(side, 1, device=device)
    left, right = (torch.randn(side, side, device=device).to(kind) for _ in range(2))
    multiply: Any = torch._scaled_mm

    def product() -> Any:
        return multiply(left, right.t(), scales, scales.t(), out_dtype=torch.bfloat16)

    return 2 * side**3 / _median_seconds(product, device)


def copy_rate(device: torch.device) -> float:
    """Bytes a second that a large copy reads and writes."""
    size = _COPY_BYTES.get(device.type, _COPY_BYTES["cpu"])
    source = torch.zeros(size, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * size / _median_seconds(lambda: target.copy_(source), device)


def _median_seconds(call: Callable[[], Any], device: torch.device) -> float:
    return statistics.median([_seconds(call, device) for _ in range(_TIMES + 2)][2:])


def _seconds(call: Callable[[], Any], device: torch.device) -> float:
    if device.type != "cuda":
        began = time.perf_counter()
        call()
        return time.perf_counter() - began
    cuda: Any = torch.cuda
    start, end = (cuda.Event(enable_timing=True) for _ in range(2))
    start.record()
    call()
    end.record()
    end.synchronize()
    return float(start.elapsed_time(end)) / 1000
