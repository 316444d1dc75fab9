"""Followers that all tests of a number of ranks share: starting one costs seconds."""

from collections.abc import Callable, Iterator

import pytest
import torch

from framewire.worker.backends.ranks.processes import RankProcesses
from framewire.worker.engine.ranks.leader import Ranks


@pytest.fixture(scope="module")
def ranks_of() -> Iterator[Callable[[int], Ranks]]:
    """Ranks of this process and others, by their number; one number at a time."""
    running: dict[int, RankProcesses] = {}

    def give(count: int) -> Ranks:
        if count not in running:
            for processes in running.values():
                processes.close()
            running.clear()
            cpu = [torch.device("cpu")] * count
            running[count] = RankProcesses(cpu, threads=1, timeout=30, on_loss=lambda: None)
        return running[count].ranks

    torch.set_num_threads(1)
    yield give
    for processes in running.values():
        processes.close()
