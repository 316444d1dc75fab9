"""Writing to an open descriptor: all of it or an error, and no wait for ever on a pipe."""

from __future__ import annotations

import os
import select

STALL_LIMIT = 60.0
"""Seconds for which the reader may take nothing; a paused player stops the worker well before."""


def write_file(descriptor: int, data: bytes) -> None:
    """Write everything to an ordinary file.

    Raises:
        OSError: the disk is full, or whatever the system says.
    """
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def write_pipe(descriptor: int, data: bytes, stall_limit: float = STALL_LIMIT) -> None:
    """Write everything to a pipe or a device, as fast as the other end takes it.

    Raises:
        TimeoutError: nothing was taken for `stall_limit` seconds.
        OSError: the other end is gone, or whatever the system says.
    """
    rest = memoryview(data)
    while rest:
        # A pipe that can be written to takes this much at once; more could block for good.
        if not select.select([], [descriptor], [], stall_limit)[1]:
            raise TimeoutError(f"not read for {stall_limit:g} s")
        rest = rest[os.write(descriptor, rest[: select.PIPE_BUF]) :]
