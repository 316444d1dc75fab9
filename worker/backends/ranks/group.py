"""Joining the ranks of one machine, and leaving them."""

from __future__ import annotations

import os
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

_LONG = timedelta(days=1)
"""Of a collective itself: it is rank 0 that decides what takes too long, since loading may."""


def join(rank: int, ranks: int, meeting: Path, device: torch.device) -> None:
    """Become one of `ranks`, by NCCL on GPUs and gloo elsewhere; waits for the others.

    Args:
        meeting: a file that all of them name and none has used before. No port is opened to
            other machines.
    """
    loopback = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")
    for variable in ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME"):
        os.environ.setdefault(variable, loopback)
    on_gpu = device.type == "cuda"
    if on_gpu:
        # What is lost is noticed and mended by rank 0; NCCL's own watchdog would end the process.
        os.environ.setdefault("TORCH_NCCL_ASYNC_ERROR_HANDLING", "0")
    take_device(device)
    # Ranks meet by a group's number, and an attempt that came to nothing has one too.
    torchs: Any = dist.distributed_c10d
    torchs._world.group_count = 0
    store: Any = getattr(dist, "FileStore")  # noqa: B009 (missing in torch's types)
    dist.init_process_group(
        "nccl" if on_gpu else "gloo",
        store=store(str(meeting), ranks),
        rank=rank,
        world_size=ranks,
        timeout=_LONG,
    )


def take_device(device: torch.device) -> None:
    """Make a GPU the one that this thread uses; every thread has to say so for itself."""
    if device.type == "cuda":
        torch.cuda.set_device(device)


def leave() -> None:
    """Leave the ranks, whatever the others do; a collective under way fails."""
    group: Any = dist.group.WORLD
    if group is None:
        return
    with suppress(RuntimeError, AttributeError, NotImplementedError):
        group.abort()
    with suppress(RuntimeError, ValueError, AssertionError):
        dist.destroy_process_group()
