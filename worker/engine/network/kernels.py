"""Which attention kernel a device gets: by what it can do and by a health probe, never by name.

Wheels of attention kernels have been known to import on a card and return noise there, so that
one is used only after it has been seen to agree with PyTorch's own.
"""

from __future__ import annotations

import importlib.util
import logging
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from .attention import Kernel, sdpa

logger = logging.getLogger(__name__)

EXACT = 2e-2
"""Relative error up to which a half-precision kernel counts as equal."""
QUANTISED = 8e-2
"""The same for kernels that quantise keys and queries."""
_SHAPE = (1, 4, 192, 128)  # B, H, L, D
_KEYS = 320


@dataclass(frozen=True)
class Candidate:
    """A kernel that may be there.

    Attributes:
        least, most: compute capabilities that it is tried on.
        module: what must be importable.
        build: makes the kernel; run only when it is tried.
        tolerance: relative error that it is allowed.
    """

    name: str
    build: Callable[[], Kernel]
    least: tuple[int, int] = (8, 0)
    most: tuple[int, int] = (99, 0)
    module: str | None = None
    tolerance: float = EXACT


def candidates() -> tuple[Candidate, ...]:
    """The known kernels, the one to prefer first."""
    return (
        Candidate("cudnn", _cudnn, least=(9, 0)),
        Candidate("flash3", _flash3, least=(9, 0), most=(9, 0), module="flash_attn_interface"),
        Candidate("flash2", _flash2, module="flash_attn"),
    )


def sage() -> Candidate:
    """SageAttention, which quantises: an option by name, never chosen on its own."""
    return Candidate("sage", _sage, module="sageattention", tolerance=QUANTISED)


def choose(
    name: str,
    device: torch.device,
    dtype: torch.dtype,
    known: Sequence[Candidate] | None = None,
    capability: tuple[int, int] | None = None,
) -> tuple[str, Kernel]:
    """The kernel called `name`, or with `auto` the first that is there and healthy.

    Args:
        known: defaults to `candidates()`, and `sage()` where it is asked for by name.
        capability: the device's, if it isn't to be asked.

    Returns:
        The kernel's name and the kernel; `sdpa` where none is better.

    Raises:
        ValueError: there is no such kernel, or the one asked for isn't there or isn't healthy.
    """
    if name == "sdpa":
        return "sdpa", sdpa
    if known is None:
        known = (*candidates(), *([sage()] if name == "sage" else []))
    if name != "auto" and name not in (candidate.name for candidate in known):
        names = ", ".join(["auto", "sdpa", *(candidate.name for candidate in known), "sage"])
        raise ValueError(f"no attention {name!r}: choose one of {names}")
    if capability is None and device.type == "cuda":
        capability = torch.cuda.get_device_capability(device)
    for candidate in known:
        if name not in ("auto", candidate.name):
            continue
        reason, kernel = _try(candidate, capability, device, dtype)
        if kernel is not None:
            return candidate.name, kernel
        if name != "auto":
            raise ValueError(f"attention {name}: {reason}")
        logger.info("attention %s is not used: %s", candidate.name, reason)
    return "sdpa", sdpa


def probe(kernel: Kernel, device: torch.device, dtype: torch.dtype) -> float:
    """Relative error of `kernel` against exact attention, at a shape with more keys than queries.

    Run twice, the second time on a stream of its own on a GPU: a kernel that ignores the current
    stream is right by itself and wrong beside others. The larger error counts; NaN is infinite.
    """
    generator = torch.Generator().manual_seed(0)
    batch, heads, queries, dim = _SHAPE

    def drawn(length: int) -> Tensor:
        values = torch.randn(batch, heads, length, dim, generator=generator)
        return values.to(device, dtype)

    q, k, v = drawn(queries), drawn(_KEYS), drawn(_KEYS)
    exact = torch.softmax(q.double() @ k.double().transpose(2, 3) / dim**0.5, -1) @ v.double()
    errors = [_relative(kernel(q, k, v), exact)]
    if device.type == "cuda":
        cuda: Any = torch.cuda
        stream = cuda.Stream(device)
        stream.wait_stream(cuda.current_stream(device))
        with cuda.stream(stream):
            cuda._sleep(1_000_000)  # work that a kernel on another stream would overtake
            fresh = v * 2
            out = kernel(q, k, fresh)
        stream.synchronize()
        errors.append(_relative(out, exact * 2))
    return max(errors)


def lacks(candidate: Candidate, capability: tuple[int, int] | None) -> str:
    """What `candidate` would need and isn't here; empty where it can be tried."""
    if capability is None:
        return "there is no NVIDIA GPU"
    if not candidate.least <= capability <= candidate.most:
        return f"it isn't for compute capability {capability[0]}.{capability[1]}"
    if candidate.module is not None and importlib.util.find_spec(candidate.module) is None:
        return f"{candidate.module} isn't installed"
    return ""


def _try(
    candidate: Candidate,
    capability: tuple[int, int] | None,
    device: torch.device,
    dtype: torch.dtype,
) -> tuple[str, Kernel | None]:
    """The kernel if it is there and healthy; else None, and why not."""
    missing = lacks(candidate, capability)
    if missing:
        return missing, None
    try:
        kernel = candidate.build()
        error = probe(kernel, device, dtype)
    except Exception as failure:  # noqa: BLE001 (a broken wheel raises anything)
        return f"it fails: {failure}", None
    if not error <= candidate.tolerance:
        return f"its result is off by {error:.1%} (at most {candidate.tolerance:.0%})", None
    return "", kernel


def _relative(out: Tensor, exact: Tensor) -> float:
    error = float((out.double() - exact).norm() / exact.norm())
    return float("inf") if math.isnan(error) else error


def _cudnn() -> Kernel:
    operator: Any = torch.ops.aten._scaled_dot_product_cudnn_attention

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out: Tensor = operator(q, k, v, None, False, 0.0, False, False)[0]
        return out

    return attend


def _flash2() -> Kernel:
    run: Any = importlib.import_module("flash_attn").flash_attn_func
    return _over_tokens(run)


def _flash3() -> Kernel:
    run: Any = importlib.import_module("flash_attn_interface").flash_attn_func
    return _over_tokens(run)


def _sage() -> Kernel:
    run: Any = importlib.import_module("sageattention").sageattn

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out: Tensor = run(q, k, v, tensor_layout="HND")
        return out

    return attend


def _over_tokens(run: Any) -> Kernel:
    """A kernel of ours from one that takes and gives [B, L, H, D]."""

    def attend(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        out = run(q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2))
        first: Tensor = out[0] if isinstance(out, tuple) else out
        return first.transpose(1, 2)

    return attend
