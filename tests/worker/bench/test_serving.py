"""`bench serving` measures everything that it promises to, at any size; figures are not judged."""

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from framewire.worker.bench.serving.content import frames_of, planes_of
from framewire.worker.bench.serving.table import table
from framewire.worker.runtime.pictures import encode_jpegs

pytestmark = pytest.mark.timeout(300)

TINY = ["--size", "64x64", "--sessions", "2", "--contents", "card", "--frames", "24"]
TINY += ["--memory-frames", "12,24", "--saving-times", "1"]


def bench(*options: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "framewire.worker.cli", "bench", "serving", *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=280, check=False)


@pytest.fixture(scope="module")
def report() -> dict[str, Any]:
    done = bench(*TINY, "--json")
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_every_way_is_measured_beside_the_plain_one(report: dict[str, Any]) -> None:
    assert [row["way"] for row in report["rows"]] == ["plain", "framewire", "testcard"]
    assert [row["way"] for row in report["unhurried"]] == ["plain", "framewire"]
    for row in report["rows"]:
        assert row["sessions"] == 2 and row["frames"] >= 24
        assert row["fps"] > 0 and row["cpu_ms"] > 0 and row["memory_mb"] > 1
        assert row["delivery_ms_p50"] > 0 and row["delivery_ms_p95"] > 0
    assert report["rows"][1]["of_plain"] > 0


def test_memory_parts_and_the_client_are_measured_too(report: dict[str, Any]) -> None:
    assert [one["sessions"] for one in report["memory"]] == [2, 2]
    first, second = (one["frames"] for one in report["memory"])
    assert 12 <= first < second
    (parts,) = report["parts"]
    assert parts["content"] == "card"
    assert min(parts["jpeg_ms"], parts["jpeg_kb"]) > 0
    assert report["saving"]["frames"] == 24
    assert min(report["saving"]["client_fps"], report["saving"]["bare_fps"]) > 0


def test_the_table_shows_every_row(report: dict[str, Any]) -> None:
    lines = "\n".join(table(report))
    assert lines.count("| framewire | card |") == 2 and "| testcard | card | 2 |" in lines
    assert lines.count("MB after") == 2 and "bare websockets loop" in lines


@pytest.mark.parametrize("wrong", [["--size", "0x9"], ["--sessions", "1,x"], ["--contents", "cat"]])
def test_what_cannot_be_measured_is_refused_in_words(wrong: list[str]) -> None:
    done = bench(*wrong)
    assert done.returncode == 2 and "expected" in done.stderr


def test_both_contents_survive_the_way_to_8_bits_and_natural_ones_cost_more() -> None:
    sizes = {}
    for content in ("card", "natural"):
        frames = frames_of(content, 128, 96)
        planes = planes_of(frames)
        assert planes.shape == (12, 3, 96, 128) and abs(planes).max() <= 1
        levels = (((planes + 1) / 2).clip(0, 1) * 255).astype(np.uint8)
        assert np.array_equal(levels.transpose(0, 2, 3, 1), frames)
        sizes[content] = sum(map(len, encode_jpegs(frames)))
    assert sizes["natural"] > sizes["card"]
