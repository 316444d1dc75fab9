"""The package's pytest plugin: a worker to test against, without a GPU, an account or a network.

pytest loads this module wherever framewire is installed, so it imports next to nothing; a fixture
that nobody asks for costs nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .running import RunningWorker


@pytest.fixture(scope="session")
def framewire_worker() -> Iterator[RunningWorker]:
    """A worker with the testcard on a free port of loopback: `.url`, `.http`, `.host`, `.env`."""
    from .running import running_worker

    with running_worker() as worker:
        yield worker


@pytest.fixture(scope="session")
def framewire_worker_tls() -> Iterator[RunningWorker]:
    """The same with a certificate of its own, for SDKs that speak TLS only: `.certificate`."""
    from .running import running_worker

    with running_worker(tls=True) as worker:
        yield worker
