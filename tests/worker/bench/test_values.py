"""What the benches' options take, and the words in which they refuse the rest."""

import argparse

import pytest

from framewire.worker.bench.values import size_of


@pytest.mark.parametrize("text", ["10x10", "832x4096", "0x480", "832x0"])
def test_a_size_that_no_worker_makes_is_refused_with_what_it_may_be(text: str) -> None:
    """It would be snapped to another one, and the row would tell of that."""
    with pytest.raises(argparse.ArgumentTypeError, match="64 to 2048 pixels a side"):
        size_of(text)


@pytest.mark.parametrize("text", ["832", "x480", "832x480x3", "-832x480", "8e2x480"])
def test_what_is_no_size_is_refused_with_one(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="such as 832x480"):
        size_of(text)


def test_a_size_is_width_and_height() -> None:
    assert size_of("832x480") == (832, 480)
