"""`make demo`: the tiny model, steered, as a video and a contact sheet."""

import os
import re
import subprocess
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from train_tiny.measure import look
from train_tiny.world import HEIGHT, WIDTH

PROGRAM = Path(__file__).parents[2] / "examples" / "demo.py"
STEERED, FRAMES = 54, 114

pytestmark = pytest.mark.timeout(300)


def test_the_demo_shows_its_first_prompt_and_then_its_second(tmp_path: Path) -> None:
    """Measured in the decoded MP4: colour, background and direction before and after the steer."""
    (tmp_path / "examples").mkdir()
    program = tmp_path / "examples" / PROGRAM.name
    program.write_text(PROGRAM.read_text())
    done = subprocess.run(
        [sys.executable, str(program)],
        env=os.environ | {"FRAMEWIRE_BACKEND": "tiny"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    match = re.search(r"steered at frame (\d+), block 5", done.stdout)
    assert match and int(match[1]) == STEERED, done.stdout
    with av.open(str(tmp_path / "out" / "demo.mp4")) as video:
        pictures = [frame.to_image() for frame in video.decode(video=0)]
    assert len(pictures) == FRAMES
    frames = np.stack([p.resize((WIDTH, HEIGHT), Image.Resampling.BOX) for p in pictures])
    before, after = look(frames[STEERED - 24 : STEERED]), look(frames[-24:])
    assert (before.colour, before.background, before.direction) == ("red", "night", "right")
    assert (after.colour, after.background, after.direction) == ("blue", "meadow", "left")
    with Image.open(tmp_path / "out" / "contact_sheet.png") as sheet:
        assert sheet.width > 1000
