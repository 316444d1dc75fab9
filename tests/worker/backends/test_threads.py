"""Threads and dtype of a model are fixed when it is loaded: on a CPU its bytes depend on them."""

from collections.abc import Iterator

import pytest
import torch

from framewire.worker.backends.presets import servable_presets
from framewire.worker.backends.wan import WanBackend
from framewire.worker.cli import main
from framewire.worker.models.setup import ModelSetup


@pytest.fixture(autouse=True)
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(("preset", "asked", "used"), [("tiny", 0, 1), ("tiny", 2, 2)])
def test_the_trained_model_runs_on_one_thread_unless_told_otherwise(
    preset: str, asked: int, used: int
) -> None:
    backend = servable_presets()[preset].make(ModelSetup(preset=preset, threads=asked))
    assert isinstance(backend, WanBackend)
    backend.load()
    assert torch.get_num_threads() == used
    assert backend.made_with()["threads"] == used


@pytest.mark.parametrize(("asked", "used"), [("auto", "float32"), ("bfloat16", "bfloat16")])
def test_the_trained_model_computes_in_float32_unless_told_otherwise(asked: str, used: str) -> None:
    backend = servable_presets()["tiny"].make(ModelSetup(preset="tiny", dtype=asked))
    assert isinstance(backend, WanBackend)
    backend.load()
    assert backend.made_with()["dtype"] == used
    assert str(backend.engine.vae.dtype) == f"torch.{used}"  # type: ignore[attr-defined]


def test_a_number_of_threads_that_means_nothing_is_refused(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["serve", "--backend", "tiny", "--threads", "-1"]) == 2
    assert "threads must be at least 0, not -1" in capsys.readouterr().err
