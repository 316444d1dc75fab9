"""The engine's bench on a CPU: what it reports, and that its arithmetic is the model's."""

import json
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch

from framewire.worker.backends.speed.proof import Prover, Unproven
from framewire.worker.backends.speed.resolve import resolve
from framewire.worker.backends.wan import WanBackend
from framewire.worker.bench.engine import run
from framewire.worker.bench.engine.measure import Measured
from framewire.worker.bench.engine.peers import diffusers_forward
from framewire.worker.bench.engine.run import psnr
from framewire.worker.bench.engine.workload import Workload
from framewire.worker.cli import main
from framewire.worker.engine import build
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.random_weights import TINY_RANDOM

STAGES = {"encode_still", "encode_input", "context", "denoise", "decode", "jpeg"}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Tensors this small lose by more, above all on a busy machine."""
    torch.set_num_threads(1)


def bench(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    """A short run of small pictures, of which TAEHV takes long for large ones."""
    command = ["bench", "engine", "--preset", "tiny-random", "--blocks", "2", "--steps", "2"]
    assert main([*command, "--size", "64x32", *options]) == 0
    return capsys.readouterr().out


def test_it_reports_every_stage_and_measures_options_alone_and_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = bench(capsys, "--json", "--options", "skip-zero,fuse-qkv")
    rows = {row["variant"]: row for row in map(json.loads, out.splitlines())}
    assert list(rows) == ["faithful", "skip-zero", "fuse-qkv", "together"]
    asked = {"width": 64, "height": 32, "steps": 2, "blocks": 2, "live": False, "context": None}
    for row in rows.values():
        assert row["work"] == asked | {"seed": 1, "native": False}
        assert row["matmul_tflops"] > 0 and row["copy_gb"] > 0
        assert row["machine"]["torch"] == torch.__version__
        assert row["attention"] == "sdpa" and row["load_s"] > 0 and row["warm_up_s"] > 0
        assert row["block_ms"] <= row["block_ms_p90"] <= row["block_ms_most"]
        assert set(row["stages_ms"]) == STAGES
        assert all(ms > 0 for ms in row["stages_ms"].values())
        assert row["fps"] == pytest.approx(12_000 / row["block_ms"], rel=0.01)
        assert row["prompt_to_pixel_blocks"] == 1
        assert row["prompt_to_pixel_ms"] > row["prompt_to_pixel_mean_ms"] > 0
        assert row["first_frame_ms"] > 0
        assert row["share_of_matmul_rate"] > 0
    faithful, skipped, fused = (rows[name] for name in ("faithful", "skip-zero", "fuse-qkv"))
    assert faithful["psnr_first_block"] is None
    assert 10 < skipped["psnr_first_block"] < 60
    assert fused["psnr_settled"] is None or fused["psnr_settled"] > 45
    assert skipped["tflop_a_block"] < faithful["tflop_a_block"] == fused["tflop_a_block"]


@pytest.mark.parametrize(
    ("preset", "context", "live", "frames"),
    [("tiny-self-forcing", 3, False, 12), ("tiny-streamdiffusionv2", 5, True, 4)],
)
def test_models_of_one_loop_each_are_measured_as_they_are_used(
    capsys: pytest.CaptureFixture[str], preset: str, context: int, live: bool, frames: int
) -> None:
    """Live ones on pictures, with the time from a picture to its frame; steps are the preset's."""
    command = ["bench", "engine", "--preset", preset, "--blocks", "2", "--size", "64x64", "--json"]
    assert main([*command, "--context", str(context)]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["work"]["live"] is live
    assert row["work"]["steps"] == (2 if live else 4)
    assert row["fps"] == pytest.approx(1000 * frames / row["block_ms"], rel=0.01)
    assert (row["input_to_frame_ms"] is not None) == live
    assert row["tflop_a_block"] > 0
    assert row["prompt_to_pixel_blocks"] == 1


def test_what_this_machine_cannot_do_is_a_line_of_the_table(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = bench(capsys, "--options", "cuda-graph")
    assert "| cuda-graph | not here: CUDA graphs need a CUDA device, not cpu |" in out
    assert "| stage, ms | encode_still | encode_input | context | denoise | decode | jpeg |" in out


def test_an_option_that_is_missing_here_is_left_out_of_all_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = bench(capsys, "--json", "--options", "skip-zero,cuda-graph")
    rows = {row["variant"]: row for row in map(json.loads, out.splitlines())}
    assert rows["cuda-graph"]["error"] == "CUDA graphs need a CUDA device, not cpu"
    assert rows["together"]["left_out"] == ["cuda-graph"] and rows["together"]["fps"] > 0


def test_whatever_goes_wrong_with_a_variant_is_its_line_and_the_next_is_measured(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(model: Any) -> None:
        raise AssertionError("a compiler's own\nlong\ncomplaint at last")

    monkeypatch.setattr(build, "fuse_qkv", broken)
    out = bench(capsys, "--json", "--options", "fuse-qkv,skip-zero", "--ladder")
    rows = {row["variant"]: row for row in map(json.loads, out.splitlines())}
    assert list(rows) == ["faithful", "fuse-qkv", "fuse-qkv+skip-zero"]
    assert rows["fuse-qkv"]["error"] == "AssertionError: complaint at last"
    assert rows["fuse-qkv+skip-zero"]["left_out"] == ["fuse-qkv"]
    assert "fps" in rows["fuse-qkv+skip-zero"]


def test_some_variants_of_all_and_none_to_compare_with(capsys: pytest.CaptureFixture[str]) -> None:
    options = ("--options", "skip-zero,fuse-qkv,taehv", "--only", "fuse-qkv,together")
    out = bench(capsys, "--json", *options, "--skip-faithful")
    rows = [json.loads(line) for line in out.splitlines()]
    assert [row["variant"] for row in rows] == ["fuse-qkv", "together"]
    assert all("psnr_first_block" not in row for row in rows)


def test_a_speed_is_measured_as_it_would_be_served_and_says_what_it_is_made_of(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailsToCompile(Prover):
        def error(self, options: EngineOptions) -> float:
            if options.compile:
                raise Unproven("it crashes (SIGSEGV)")
            return 0.0

    monkeypatch.setattr(run, "resolve", partial(resolve, prover_of=FailsToCompile))
    out = bench(capsys, "--json", "--speed", "fast,max", "--only", "fast,max")
    fast, most = (json.loads(line) for line in out.splitlines())
    assert fast["speed"]["parts"] == ["fuse-qkv", "tune-convolutions"] and fast["fps"] > 0
    assert fast["speed"]["left_out"]["compile"] == "it crashes (SIGSEGV)"
    assert {"compile", "cuda-graph"} <= set(fast["left_out"])
    assert most["speed"]["parts"] == ["skip-zero", "taehv", "fuse-qkv", "tune-convolutions"]
    # The decoder of tiny-random is smaller than TAEHV, which does not shrink with it.
    assert most["tflop_a_block"] > fast["tflop_a_block"]
    assert (fast["variant"], most["variant"]) == ("fast", "max")


def test_another_program_is_measured_beside_and_a_missing_one_is_a_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = bench(capsys, "--json", "--peer", "diffusers", "--peer", "no_such_module:function")
    _, diffusers, missing = (json.loads(line) for line in out.splitlines())
    assert diffusers["theirs_ms"] > 0
    ratio = diffusers["ours_ms"] / diffusers["theirs_ms"]
    assert diffusers["ours_over_theirs"] == pytest.approx(ratio, rel=0.01)
    assert "no_such_module" in missing["error"]


def test_our_forward_and_diffusers_do_the_same_work() -> None:
    """One pass without context gives the same flow."""
    work = Workload(64, 64, 4)
    made = build.Build(torch.device("cpu"), torch.float32, torch.float32)
    race = diffusers_forward(TINY_RANDOM, work, made)
    assert race.ours is not None
    with torch.no_grad():
        theirs, ours = race.theirs()[0].transpose(1, 2), race.ours()
    assert torch.allclose(ours, theirs, atol=1e-4)


def test_the_trained_model_is_measured_at_the_size_that_it_is_served_at(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its stages at its own size; on one thread, in float32, without the pass at 0."""

    def measured(backend: WanBackend, work: Workload, say: object) -> Measured:
        backend.load()
        params = work.params(backend.preset)
        size = f"{params.width}x{params.height} for {work.width}x{work.height}"
        made = backend.made_with()
        raise ValueError(f"{backend.native} {size} {made['dtype']} {made['speed']}")

    monkeypatch.setattr(run, "measure", measured)
    assert main(["bench", "engine", "--preset", "tiny", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert row["error"] == "True 160x96 for 832x480 float32 skip_zero=True"
    assert row["machine"]["threads"] == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "nope"], "no preset 'nope': choose one of krea-realtime-14b"),
        (["--preset", "tiny-random", "--options", "magic"], "no option 'magic'"),
        (["--preset", "tiny-random", "--size", "100x100"], "multiples of 16"),
        (["--preset", "tiny-random", "--steps", "9"], "steps must be 1 to 8"),
        (["--preset", "tiny-random", "--only", "compile"], "no variant 'compile': choose of"),
        (["--preset", "tiny-random", "--skip-faithful"], "nothing is left to measure"),
        (["--preset", "tiny-random", "--speed", "warp"], "no speed 'warp' to measure"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "engine", *options]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error


def test_drift_is_none_where_frames_are_equal() -> None:
    frames = np.zeros((1, 2, 2, 3), np.uint8)
    assert psnr(frames, frames) is None
    assert psnr(frames + 255, frames) == pytest.approx(0)
