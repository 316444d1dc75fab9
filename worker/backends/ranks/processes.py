"""Starts the ranks of a stream on several devices, and notices when one is lost.

Followers are child processes, which rank 0 outlives or takes along: they end with it, and where
one ends or stalls the rest is ended, so that nothing waits for ever: not while they join, either.
"""

from __future__ import annotations

import logging
import queue
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
from framewire.worker.engine.ranks.leader import Ranks, RanksLost

from .group import join, leave, take_device

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
            on_loss: called once, on a thread of its own, when a rank that has joined is lost.

        Raises:
            RanksLost: they could not be joined, such as where one has ended meanwhile.
        """
        self._closing, self._joined = threading.Event(), threading.Event()
        self._joining: queue.SimpleQueue[Exception | None] = queue.SimpleQueue()
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
            threading.Thread(target=self._watch, name="ranks", daemon=True).start()
            self._join(len(devices), meeting, devices[0])
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """End the followers; none is left when this returns."""
        self._closing.set()
        self._end_followers()
        leave()
        self._folder.cleanup()

    def _join(self, ranks: int, meeting: Path, device: torch.device) -> None:
        """Be joined by the followers, or told that one is lost, whichever comes first.

        To join waits for all, and cannot be interrupted, so it has a thread of its own.
        """

        def joined() -> None:
            try:
                join(0, ranks, meeting, device)
            except Exception as error:  # noqa: BLE001 (raised by who waits for it)
                self._joining.put(error)
                return
            self._joining.put(None)
            if self._closing.is_set():
                leave()

        take_device(device)
        with self.ranks.step():
            threading.Thread(target=joined, name="ranks-joining", daemon=True).start()
            error = self._joining.get()
            if error is not None:
                raise error
        self._joined.set()
        if self.ranks.lost:
            raise RanksLost(self.ranks.lost)

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
        if self._closing.is_set():  # which ends them
            return
        self.ranks.lost = self.ranks.lost or reason
        logger.error("%s", self.ranks.lost)
        try:
            self._end_followers()
            leave()
        finally:
            self._joining.put(RanksLost(self.ranks.lost))
        if self._joined.is_set():
            self._on_loss()

    def _loss(self) -> str:
        for rank, process in enumerate(self._processes, 1):
            if process.poll() is not None:
                when = "" if self._joined.is_set() else " before all had joined"
                return f"rank {rank} ended (exit status {process.returncode}){when}"
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
