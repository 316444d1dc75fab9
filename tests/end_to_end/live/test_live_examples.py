"""The examples of `examples/live` run as they are."""

import os
import re
import subprocess
import sys
from pathlib import Path

LIVE = Path(__file__).parents[3] / "examples" / "live"


def test_restyle_feeds_the_test_picture_and_tells_how_late_its_frames_are(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(LIVE / "restyle.py")],
        cwd=tmp_path,
        env={**os.environ, "FRAMEWIRE_BACKEND": "testcard"},
        check=False,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert re.search(
        r"^testsrc is open; nothing is left out\n42 frames, each \d+\.\d\d s after its picture$",
        done.stdout,
        re.MULTILINE,
    ), done.stdout


def test_they_are_short() -> None:
    for path in LIVE.glob("*.py"):
        assert len(path.read_text().splitlines()) <= 40, path.name
