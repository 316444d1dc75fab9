"""Starts the ranks of a stream on several devices, and notices when one is lost.

Followers are child processes, which rank 0 outlives or takes along: they end with it, and where
one ends or stalls the rest is ended, so that nothing waits for ever.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Sequence
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from framewire.worker.backends.children import environment
from framewire.worker.engine.ranks.leader import Ranks

from .group import join, leave

logger = logging.getLogger(__name__)

_LOOK_EVERY = 0.25


class RankProcesses:
    """The followers of this process, from `start` to `close`.

    Attributes:
        ranks: to lead them with.
    """

    def __init__(
        self,
        devices: Sequence[torch.device],
        *,
        threads: int,
        timeout: float,
        on_loss: Callable[[], object],
    ) -> None:
        """Start a follower for every device but the first, and join them.

        Args:
            threads: CPU threads of each; 0 leaves it to torch.
            timeout: seconds that one step of all ranks may take.
            on_loss: called once, on a thread of its own, when a rank is lost.

        Raises:
            RuntimeError: they could not be joined.
        """
        self._closing = threading.Event()
        self._on_loss = on_loss
        self._folder = tempfile.TemporaryDirectory(prefix="framewire-ranks-")
        check = logging.getLogger("framewire").isEnabledFor(logging.DEBUG)
        meeting = Path(self._folder.name) / "meeting"
        channels: list[Connection] = []
        self._processes: list[subprocess.Popen[bytes]] = []
        try:
            for rank, device in enumerate(devices[1:], 1):
                theirs, ours = Pipe(duplex=False)
                channels.append(ours)
                with theirs:
                    self._processes.append(
                        _started(rank, len(devices), device, meeting, theirs, threads, check)
                    )
            self.ranks = Ranks(channels, devices[0], timeout=timeout, check=check)
            self._watcher = threading.Thread(target=self._watch, name="ranks", daemon=True)
            self._watcher.start()
            join(0, len(devices), meeting, devices[0])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the followers; none is left when this returns."""
        self._closing.set()
        self._end_followers()
        leave()
        self._folder.cleanup()

    def _end_followers(self) -> None:
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
            if process.stdin is not None:
                process.stdin.close()

    def _watch(self) -> None:
        while not self._closing.wait(_LOOK_EVERY):
            reason = self._loss()
            if reason:
                break
        else:
            return
        self.ranks.lost = self.ranks.lost or reason
        logger.error("%s", self.ranks.lost)
        self._end_followers()
        leave()
        self._on_loss()

    def _loss(self) -> str:
        for rank, process in enumerate(self._processes, 1):
            if process.poll() is not None:
                return f"rank {rank} ended (exit status {process.returncode})"
        if self.ranks.overdue:
            return "a rank did not do its part in time"
        return self.ranks.lost


def _started(
    rank: int,
    ranks: int,
    device: torch.device,
    meeting: Path,
    orders: Connection,
    threads: int,
    check: bool,
) -> subprocess.Popen[bytes]:
    options = {
        "rank": rank,
        "ranks": ranks,
        "device": device,
        "meeting": meeting,
        "orders": orders.fileno(),
        "threads": threads,
        "check": int(check),
    }
    arguments = [text for name, value in options.items() for text in (f"--{name}", str(value))]
    return subprocess.Popen(
        [sys.executable, "-m", "framewire.worker.backends.ranks.child", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=environment(),
        pass_fds=(orders.fileno(),),
    )
