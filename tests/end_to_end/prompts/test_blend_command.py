"""`framewire stream --blend` as a user runs it: what comes out, and what is said of it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

ENVIRON = {**os.environ, "FRAMEWIRE_BACKEND": "testcard"}
RED, BLUE = "a white square on red and red", "a white square on blue and blue"


def run(*options: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "framewire.client.cli", "stream", *options]
    return subprocess.run(
        command, capture_output=True, text=True, timeout=90, cwd=cwd, env=ENVIRON, check=False
    )


def mean(folder: Path) -> np.ndarray:
    picture = Image.open(folder / "frame_000000.jpg")
    found: np.ndarray = np.asarray(picture, float)[14:-14].mean(axis=(0, 1))
    return found


def test_what_is_blended_shows_by_its_weight_and_is_named(tmp_path: Path) -> None:
    shape = ("--size", "128x64", "--seed", "3", "--blocks", "1", "--json")
    done = run(RED, "--blend", f"{BLUE}=3", "--out", "mixed/", *shape, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["prompts"] == [f"{BLUE} (75%) + {RED} (25%)"]
    for prompt, out in ((RED, "red/"), (BLUE, "blue/")):
        assert run(prompt, "--out", out, *shape, cwd=tmp_path).returncode == 0
    mixed, red, blue = (mean(tmp_path / name) for name in ("mixed", "red", "blue"))
    assert np.abs(mixed - (0.25 * red + 0.75 * blue)).max() < 12


@pytest.mark.parametrize("wrong", ["a robot", "a robot=", "=1", "a robot=-1", "a robot=nan", "=="])
def test_what_is_no_text_and_weight_is_wrong_usage(wrong: str, tmp_path: Path) -> None:
    done = run(RED, "--blend", wrong, cwd=tmp_path)
    assert done.returncode == 2
    assert "expected TEXT=WEIGHT, such as 'a robot=0.5'" in done.stderr
    assert "Traceback" not in done.stderr


def test_too_many_texts_are_refused_before_anything_is_started(tmp_path: Path) -> None:
    done = run(RED, *(f"--blend=a{number}=1" for number in range(8)), cwd=tmp_path)
    assert done.returncode == 2 and "prompts" in done.stderr and "at most 8" in done.stderr


def test_a_blended_session_that_was_kept_makes_the_same_frames_again(tmp_path: Path) -> None:
    command = (RED, "--blend", f"{BLUE}=3", "--steer", f"2b={BLUE}", "--size", "128x64")
    kept = ("--blocks", "4", "--out", "first/", "--save-timeline", "kept.json")
    assert (done := run(*command, *kept, cwd=tmp_path)).returncode == 0, done.stderr
    again = run("--timeline", "kept.json", "--out", "again/", cwd=tmp_path)
    assert again.returncode == 0, again.stderr
    frames = [sorted((tmp_path / name).glob("*.jpg")) for name in ("first", "again")]
    assert len(frames[0]) == 42
    assert [one.read_bytes() for one in frames[0]] == [one.read_bytes() for one in frames[1]]
