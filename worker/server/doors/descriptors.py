"""How many sockets a process can hold: its limit of file descriptors, raised as far as it goes."""

from __future__ import annotations

import sys
from pathlib import Path

if sys.platform != "win32":
    import resource

RESERVE = 64
"""Descriptors kept back for what is not a socket: models, clips, pipes to other processes."""
ENOUGH = 65_536
LEAST_ROOM = 8


def raise_limit() -> None:
    """Take as many descriptors as this process may have without asking, up to `ENOUGH`."""
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = ENOUGH if hard == resource.RLIM_INFINITY else min(hard, ENOUGH)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def room_for_sockets() -> int:
    """How many sockets can be opened besides what is open, `RESERVE` left over."""
    if sys.platform == "win32":
        return ENOUGH
    soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    limit = ENOUGH if soft == resource.RLIM_INFINITY else soft
    try:
        in_use = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError:
        in_use = RESERVE
    return max(LEAST_ROOM, limit - in_use - RESERVE)
