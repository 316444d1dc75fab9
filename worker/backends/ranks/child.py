"""A follower's process: `python -m framewire.worker.backends.ranks.child`, started by `processes`.

It ends when rank 0 has no more orders, and at once when rank 0's process is gone, whatever it is at
then. Ctrl-C and SIGTERM are for rank 0 to decide about, which drains first.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import sys
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from framewire.worker.backends.children import end_with_parent
from framewire.worker.engine.ranks.follower import Follower
from framewire.worker.engine.ranks.orders import Told

from .group import join

logger = logging.getLogger(__name__)


def main() -> int:
    """Follow until there is nothing to follow; 1 where a step failed."""
    parser = argparse.ArgumentParser()
    for name in ("rank", "ranks", "orders", "threads", "check"):
        parser.add_argument(f"--{name}", type=int, required=True)
    parser.add_argument("--meeting", type=Path, required=True)
    parser.add_argument("--device", type=torch.device, required=True)
    given = parser.parse_args()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    end_with_parent(lambda: _end(0))
    logging.basicConfig(format=f"%(asctime)s %(levelname)s rank {given.rank}: %(message)s")
    if given.threads:
        torch.set_num_threads(given.threads)
    orders = Connection(given.orders, writable=False)
    try:
        join(given.rank, given.ranks, given.meeting, given.device)
        follower = Follower(given.rank, given.ranks, given.device, check=bool(given.check))
        follower.follow(_told(orders))
    except Exception as error:  # noqa: BLE001 (its end is what rank 0 hears)
        logger.error("%s: %s", type(error).__name__, str(error).splitlines()[0])
        _end(1)
    _end(0)
    return 0


def _told(orders: Connection) -> Iterator[Told]:
    with contextlib.suppress(EOFError):
        while True:
            yield orders.recv()


def _end(code: int) -> None:
    """At once: a group whose other ranks are gone is not waited for."""
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    sys.exit(main())
