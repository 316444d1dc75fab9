"""How convolutions are laid out in memory, and which kernels they get: by what is fastest here.

Channels last is what the units for half precision of a GPU multiply in; whether the transposes
around them eat the gain up depends on card, version and shape, so that it is measured.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

_RUNS = 4
_GAIN = 0.97
"""Of the plain layout's time, what channels last must stay below to be worth other bits."""


def keep_faster_layout(
    network: nn.Module, run: Callable[[], object], device: torch.device
) -> float:
    """Lay the weights of convolutions out channels last, if `run` is faster so.

    Args:
        run: calls the network on what it will see.

    Returns:
        By how much `run` is faster in the layout that was kept; 1 where it is the plain one.
    """
    plain = _seconds(run, device)
    _lay_out(network, channels_last=True)
    other = _seconds(run, device)
    if other < _GAIN * plain:
        return plain / other
    _lay_out(network, channels_last=False)
    return 1.0


@contextmanager
def fastest_kernels() -> Iterator[None]:
    """Let cuDNN measure its kernels for each shape that is new to it; what it finds stays."""
    cudnn: Any = torch.backends.cudnn
    before, cudnn.benchmark = cudnn.benchmark, True
    try:
        yield
    finally:
        cudnn.benchmark = before


def _lay_out(network: nn.Module, *, channels_last: bool) -> None:
    formats = {4: torch.channels_last, 5: torch.channels_last_3d}
    for weight in network.parameters():
        if weight.ndim in formats:
            layout = formats[weight.ndim] if channels_last else torch.contiguous_format
            weight.data = weight.data.contiguous(memory_format=layout)


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    """The least that a call takes; the first, which chooses kernels, apart."""
    cuda: Any = torch.cuda if device.type == "cuda" else None
    taken = []
    for _ in range(_RUNS):
        began = time.perf_counter()
        run()
        if cuda:
            cuda.synchronize(device)
        taken.append(time.perf_counter() - began)
    return min(taken[1:])
