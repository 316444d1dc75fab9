"""One thread for all engine tests: tensors this small lose by more, above all on a busy machine."""

import warnings
from collections.abc import Iterator

import pytest
import torch
from torch._dynamo.utils import counters


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture
def fresh_compiler() -> Iterator[None]:
    """Counts start at nothing, and the compiler's own warnings are its makers' to mend."""
    torch._dynamo.reset()
    counters.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
    torch._dynamo.reset()
