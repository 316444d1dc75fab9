"""Which backend is chosen, why, and what is said where a machine lacks something."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from support.servers.worker_server import command

from framewire.worker.backends import _BEST, choose
from framewire.worker.models.catalogue import catalogue
from framewire.worker.models.setup import ModelSetup

NO_GPU = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")


@pytest.fixture(autouse=True)
def no_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))


def test_a_preset_names_its_backend_whatever_the_backend_is_called() -> None:
    setup = ModelSetup(preset="tiny-random")
    assert {choose(name, setup)[0].name for name in ("auto", "wan")} == {"tiny-random"}
    assert choose("tiny-random")[0].name == "tiny-random"


@NO_GPU
def test_auto_says_what_the_better_ones_lack() -> None:
    backend, why = choose("auto")
    assert backend.name == "tiny"
    assert "krea-realtime-14b lacks a GPU" in why
    assert "of weights (framewire-worker pull krea-realtime-14b)" in why


def test_auto_never_takes_a_model_that_is_not_for_commerce() -> None:
    """Whoever wants one asks for it."""
    restricted = {name for name, entry in catalogue().items() if entry.notice}
    assert "longlive-1.3b" in restricted
    assert restricted.isdisjoint(_BEST)


@pytest.mark.parametrize(
    ("name", "preset", "words"),
    [
        ("nope", "", "no backend 'nope': choose one of auto, testcard, tiny, wan"),
        ("wan", "", "backend wan needs --preset: krea-realtime-14b"),
        ("wan", "nope", "no preset 'nope': choose one of krea-realtime-14b"),
        ("testcard", "tiny-random", "backend testcard has no preset 'tiny-random'"),
    ],
)
def test_what_does_not_exist_is_answered_with_what_does(name: str, preset: str, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        choose(name, ModelSetup(preset=preset))


@pytest.mark.parametrize("said", ["~nobody-here/style", "s" * 5000, "a\0b", "", "/dev/zero"])
def test_an_adapter_that_can_be_no_file_is_told_as_one_that_is_none(said: str) -> None:
    with pytest.raises(ValueError, match="no such file; expected the path"):
        choose("tiny", ModelSetup(lora=(said,)))


def test_an_adapter_is_not_left_out_where_there_is_no_model_for_it() -> None:
    with pytest.raises(ValueError, match="lora 'gold': testcard has no weights to adapt"):
        choose("testcard", ModelSetup(lora=("gold",)))


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (ModelSetup(preset="tiny-random", dtype="int4"), "dtype 'int4': choose one of auto"),
        (ModelSetup(preset="tiny-random", device="quantum"), "device 'quantum'"),
    ],
)
def test_devices_and_dtypes_that_torch_does_not_know_are_refused(
    setup: ModelSetup, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        choose("auto", setup)


@NO_GPU
def test_serving_a_preset_that_cannot_run_here_says_in_one_line_what_is_missing_and_what_runs(
    tmp_path: Path,
) -> None:
    done = subprocess.run(
        [*(sys.executable, "-m", "framewire.worker.cli"), "serve", "--preset", "krea-realtime-14b"],
        env=os.environ | {"HF_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert "a GPU" in line and "80 GB" in line
    assert "51.8 GB of weights (framewire-worker pull krea-realtime-14b)" in line
    assert line.endswith("without it: framewire-worker serve --backend testcard")


async def test_the_command_serves_a_model_and_prints_the_room_it_has() -> None:
    options = (
        "--backend",
        "wan",
        "--preset",
        "tiny-random",
        "--max-sessions",
        "auto",
        "--warm-sizes",
        "64x64,96x64",
    )
    async with command(*options, OMP_NUM_THREADS="1") as running:
        assert running.said["backend"] == "tiny-random"
    log = "".join(running.log)  # whole only once the command has ended
    assert "warmed up at 96x64" in log
    assert "GB free" in log and "GB a stream of 64x64" in log
    assert "max_sessions auto: " in log
