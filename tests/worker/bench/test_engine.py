"""The engine's bench on a CPU: what it reports, and that its arithmetic is the model's."""

import json
from typing import Any

import numpy as np
import pytest
import torch

from framewire.worker.bench.engine.flops import block_flops
from framewire.worker.bench.engine.run import psnr
from framewire.worker.cli import main
from framewire.worker.engine.build import Build
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.preset import KREA_REALTIME_14B

STAGES = {"encode_still", "encode_input", "context", "denoise", "decode", "jpeg"}


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> None:
    """Tensors this small lose by more, above all on a busy machine."""
    torch.set_num_threads(1)


def bench(capsys: pytest.CaptureFixture[str], *options: str) -> Any:
    command = ["bench", "engine", "--preset", "tiny-random", "--blocks", "2", "--steps", "2"]
    assert main([*command, *options]) == 0
    return capsys.readouterr().out


def test_it_reports_every_stage_and_measures_options_alone_and_together(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = bench(capsys, "--json", "--options", "skip-zero,fuse-qkv", "--size", "64x32")
    report = json.loads(out)
    rows = {row["variant"]: row for row in report["variants"]}
    assert list(rows) == ["faithful", "skip-zero", "fuse-qkv", "together"]
    asked = {"width": 64, "height": 32, "steps": 2, "blocks": 2, "live": False, "context": None}
    assert report["work"] == asked | {"seed": 1}
    assert report["matmul_tflops"] > 0
    for row in rows.values():
        assert set(row["stages_ms"]) == STAGES
        assert all(ms > 0 for ms in row["stages_ms"].values())
        assert row["fps"] == pytest.approx(12_000 / row["block_ms"], rel=0.01)
        assert row["prompt_to_pixel_blocks"] == 1
        assert row["prompt_to_pixel_ms"] > 0 and row["first_frame_ms"] > 0
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
    command = ["bench", "engine", "--preset", preset, "--blocks", "2", "--json"]
    assert main([*command, "--context", str(context)]) == 0
    report = json.loads(capsys.readouterr().out)
    assert report["work"]["live"] is live
    assert report["work"]["steps"] == (2 if live else 4)
    row = report["variants"][0]
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--preset", "nope"], "no preset 'nope': choose one of krea-realtime-14b"),
        (["--preset", "tiny-random", "--options", "magic"], "no option 'magic'"),
        (["--preset", "tiny-random", "--size", "100x100"], "multiples of 16"),
        (["--preset", "tiny-random", "--steps", "9"], "steps must be 1 to 8"),
    ],
)
def test_what_cannot_be_measured_is_refused_in_a_line(
    options: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", "engine", *options]) == 2
    error = capsys.readouterr().err.strip()
    assert words in error and "\n" not in error


def test_the_count_of_a_block_is_that_of_the_published_description() -> None:
    """Context 131.9, a pass 149.8, decoding 40.6 and the picture encoded anew 2.7 TFLOP."""
    meta = torch.device("meta")
    build = Build(meta, torch.bfloat16, torch.float16)
    params = StreamParams.of(KREA_REALTIME_14B, num_denoising_steps=1)
    counted = block_flops(KREA_REALTIME_14B, build, params) / 1e12
    assert counted == pytest.approx(131.9 + 149.8 + 40.6 + 2.7, rel=0.015)


def test_drift_is_none_where_frames_are_equal() -> None:
    frames = np.zeros((1, 2, 2, 3), np.uint8)
    assert psnr(frames, frames) is None
    assert psnr(frames + 255, frames) == pytest.approx(0)
