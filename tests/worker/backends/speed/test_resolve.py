"""What a speed means on a machine where parts of it crash, hang, lie or cannot be."""

import logging
import os
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from framewire.worker.backends import choose
from framewire.worker.backends.presets import servable_presets
from framewire.worker.backends.speed.parts import Resolved, served_preset
from framewire.worker.backends.speed.proof import Prover, Subject
from framewire.worker.backends.speed.resolve import resolve
from framewire.worker.backends.wan import WanBackend
from framewire.worker.engine.build import Build
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import SELF_FORCING_1_3B, STREAMDIFFUSIONV2_1_3B, Preset
from framewire.worker.engine.random_weights import TINY_RANDOM
from framewire.worker.models.setup import ModelSetup, SpeedName

FALSE_CHILD = "support.engines.false_child"
CPU = Build(torch.device("cpu"), torch.float32, torch.float32)


def false_prover(fault: str, note: Path, seconds: float = 60.0) -> Prover:
    preset = replace(TINY_RANDOM, name=fault)
    return Prover(Subject(preset, str(note), "float32", "float32", 1), seconds, FALSE_CHILD)


@pytest.mark.slow
def test_a_compiler_that_works_proves_itself() -> None:
    """With nothing in anyone's place."""
    found = resolve(TINY_RANDOM, ModelSetup(speed="fast", threads=1), CPU)
    assert found.parts == ("fuse-qkv", "tune-convolutions", "compile")


class Willing(Prover):
    """Finds everything well, and starts nothing."""

    def error(self, options: EngineOptions) -> float:
        return 0.0


def resolved(setup: ModelSetup, preset: Preset = TINY_RANDOM) -> Resolved:
    return resolve(preset, setup, CPU, prover_of=Willing)


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        ("segfault", "it crashes (SIGSEGV)"),
        ("abort", "it crashes (SIGABRT)"),
        ("exit", "it ends its process (exit status 3)"),
        ("raise", "it fails: CompilerError: no [31m compiler"),
        ("garbage", "its process answers what makes no sense"),
        ("no number", "its process answers what makes no sense"),
        ("no map", "its process answers what makes no sense"),
        ("nan", "its result is off by inf% of the plain one (at most 0.10%)"),
        ("off", "its result is off by 50.00% of the plain one (at most 0.10%)"),
    ],
)
def test_a_part_that_fails_in_its_process_is_left_out_with_one_warning_that_names_it(
    fault: str, words: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The parts before it stay, and this process lives."""
    found = resolve(
        TINY_RANDOM,
        ModelSetup(speed="fast"),
        CPU,
        prover_of=lambda subject, seconds: false_prover(fault, tmp_path / "note"),
    )
    assert found.parts == ("fuse-qkv", "tune-convolutions")
    assert found.options == EngineOptions(fuse_qkv=True, tune_convolutions=True)
    assert found.left_out["compile"] == words
    (warning,) = [one for one in caplog.records if one.levelno == logging.WARNING]
    assert warning.getMessage() == f"tiny-random: --speed fast goes without compile: {words}"


def test_a_part_that_hangs_is_left_out_when_its_time_is_over_and_leaves_no_process(
    tmp_path: Path,
) -> None:
    note = tmp_path / "note"
    prover = false_prover("hang", note, seconds=15.0)
    found = resolve(
        TINY_RANDOM, ModelSetup(speed="fast"), CPU, prover_of=lambda subject, seconds: prover
    )
    assert found.parts == ("fuse-qkv", "tune-convolutions")
    assert found.left_out["compile"] == "it takes more than 15 s"
    for pid in map(int, note.read_text().split()):
        while _runs(pid):  # until the kernel has done with one that was killed
            time.sleep(0.01)


def _runs(pid: int) -> bool:
    """Whether it does; one that has ended and waits to be seen by init does not."""
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        return False
    try:
        os.kill(pid, 0)
        return "State:\tZ" not in status.read_text()
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_a_child_that_never_starts_costs_each_part_its_time_and_nothing_else(
    tmp_path: Path,
) -> None:
    prover = false_prover("never starts", tmp_path / "note", seconds=0.2)
    found = resolve(
        TINY_RANDOM, ModelSetup(speed="fast"), CPU, prover_of=lambda subject, seconds: prover
    )
    assert found.options == EngineOptions() and found.parts == ()
    assert found.left_out["fuse-qkv"] == found.left_out["compile"] == "it takes more than 0.2 s"


def test_faithful_is_the_options_as_they_are_and_tries_nothing() -> None:
    options = EngineOptions(skip_zero=True)

    def none(subject: Subject, seconds: float) -> Prover:
        raise AssertionError("nothing is to be tried")

    found = resolve(TINY_RANDOM, ModelSetup(options=options), CPU, prover_of=none)
    assert found == Resolved("faithful", options)


def test_what_cannot_be_on_a_cpu_is_left_out_with_its_reason_and_no_warning(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = resolved(ModelSetup(speed="max"))
    assert found.parts == ("skip-zero", "taehv", "fuse-qkv", "tune-convolutions", "compile")
    assert found.left_out.keys() == {"attention", "cuda-graph", "fp8"}
    assert all("NVIDIA GPU" in reason for reason in found.left_out.values())
    assert not [one for one in caplog.records if one.levelno >= logging.WARNING]


def test_max_says_of_each_departure_what_it_does_to_the_picture() -> None:
    found = resolved(ModelSetup(speed="max"))
    assert found.costs.keys() == {"skip-zero", "taehv"}
    assert "0.5 %" in found.costs["skip-zero"] and "softer" in found.costs["taehv"]
    assert resolved(ModelSetup(speed="fast")).costs == {}


@pytest.mark.parametrize("speed", ["fast", "max"])
@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("compile", False, "compile"),
        ("fuse_qkv", False, "fuse-qkv"),
        ("skip_zero", False, "skip-zero"),
        ("decoder", "wan", "taehv"),
    ],
)
def test_a_switch_set_by_hand_wins(speed: SpeedName, name: str, value: object, part: str) -> None:
    """Also where it was set to what it is anyway."""
    options = EngineOptions(**{name: value})  # type: ignore[arg-type]
    found = resolved(ModelSetup(speed=speed, options=options, given=frozenset({name})))
    assert getattr(found.options, name) == value and part not in found.parts
    if speed == "max" or part in ("compile", "fuse-qkv"):
        assert found.left_out[part] == "set by hand"


def test_a_switch_that_is_on_by_hand_is_there_and_no_part_of_the_speed() -> None:
    options = EngineOptions(compile=True, skip_zero=True)
    given = frozenset({"compile", "skip_zero"})
    found = resolved(ModelSetup(speed="fast", options=options, given=given))
    assert found.options == replace(options, fuse_qkv=True, tune_convolutions=True)
    assert found.parts == ("fuse-qkv", "tune-convolutions")


@pytest.mark.parametrize("preset", [SELF_FORCING_1_3B, STREAMDIFFUSIONV2_1_3B])
def test_only_a_model_that_makes_a_pass_at_0_can_leave_it_out(preset: Preset) -> None:
    found = resolved(ModelSetup(speed="max"), preset)
    makes_one = preset is STREAMDIFFUSIONV2_1_3B  # of blocks from text
    assert ("skip-zero" in found.parts) is makes_one
    assert found.options.skip_zero is makes_one


def test_several_gpus_get_no_graphs_whatever_the_speed() -> None:
    setup = ModelSetup(speed="fast", device="cpu", num_gpus=2)
    found = resolved(setup)
    assert (
        found.parts == ("fuse-qkv", "tune-convolutions", "compile") and not found.options.cuda_graph
    )


def test_files_that_are_not_here_leave_their_part_out() -> None:
    absent = {"taehv": "its weights are not here"}
    found = resolve(TINY_RANDOM, ModelSetup(speed="max"), CPU, absent, prover_of=Willing)
    assert found.left_out["taehv"] == absent["taehv"] and found.options.decoder == "wan"


def test_max_shortens_a_context_that_has_sizes_and_one_set_by_hand_stays() -> None:
    setup = ModelSetup(speed="max")
    shorter = served_preset(SELF_FORCING_1_3B, setup)
    assert shorter.context_frames == 9
    found = resolved(setup, shorter)
    assert found.parts[0] == "context-9" and "9 latent frames" in found.costs["context-9"]
    by_hand = replace(setup, context=18)
    assert served_preset(SELF_FORCING_1_3B, by_hand).context_frames == 18
    assert "context-9" not in resolved(by_hand, SELF_FORCING_1_3B).parts
    assert served_preset(TINY_RANDOM, setup) == TINY_RANDOM
    assert served_preset(SELF_FORCING_1_3B, ModelSetup(speed="fast")) == SELF_FORCING_1_3B


@pytest.mark.parametrize("frames", [6, 9, 18])
def test_self_forcing_is_served_with_each_of_its_windows(frames: int) -> None:
    """It is what streams that name none get, what is warmed up, and what the room is counted by."""
    setup = ModelSetup(preset="tiny-self-forcing", context=frames, threads=1)
    backend = servable_presets()["tiny-self-forcing"].make(setup)
    assert isinstance(backend, WanBackend)
    assert backend.defaults.kv_cache_num_frames == frames
    assert backend.preset.context_frames == frames


@pytest.mark.parametrize(
    ("preset", "frames", "words"),
    [
        ("tiny-self-forcing", 7, "choose one of 6, 9, 18$"),
        ("tiny-self-forcing", 21, r"choose one of 6, 9, 18 \(21 is 18 with a block's own\)"),
        ("tiny-random", 6, "was made for 3 latent frames of context and is served with no other"),
        ("tiny-streamdiffusionv2", 9, "was made for 5 latent frames"),
        ("tiny", 6, "tiny was made for 3 latent frames"),
    ],
)
def test_a_context_that_does_not_fit_is_refused_in_words(
    preset: str, frames: int, words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        choose("wan", ModelSetup(preset=preset, context=frames))
