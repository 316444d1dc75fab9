"""One thread for all golden tests: tensors this small lose by more, above all on a busy machine."""

from collections.abc import Iterator

import pytest
import torch

from framewire.worker.backends.ranks.processes import RankProcesses
from framewire.worker.engine.ranks.leader import Ranks


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")  # a process can be of one group only
def two_ranks() -> Iterator[Ranks]:
    """This process and another, to share the work of a session."""
    cpu = torch.device("cpu")
    processes = RankProcesses([cpu, cpu], threads=1, timeout=60, on_loss=lambda: None)
    yield processes.ranks
    processes.close()
