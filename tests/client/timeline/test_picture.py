"""A timeline drawn with letters, and the two commands that look at a file."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.timelines.files import VIDEO, entry, scope

from framewire.client.cli import main
from framewire.client.timeline import timeline_of
from framewire.client.timeline.moves import parts_of
from framewire.client.timeline.picture import picture_of
from framewire.protocol.steering import BlockShape

TWO = scope("2.1", entry(0, 3, "a"), entry(3, 6, "b", transitionSteps=2))


def written(folder: Path, value: Any) -> str:
    path = folder / "it.json"
    path.write_text(json.dumps(value))
    return str(path)


def test_letters_stand_over_the_blocks_in_which_entries_land() -> None:
    """Small ones while it takes over; a bar where a block begins."""
    parts = parts_of(timeline_of(json.dumps(TWO)))
    seconds, letters, starts = picture_of(parts, BlockShape(), 96, colour=False)
    assert letters == "A" * 42 + "b" * 12 + "B" * 42
    assert [place for place, mark in enumerate(starts) if mark == "|"] == [0, *range(6, 96, 12)]
    assert seconds.index("3s") == 48


def test_a_narrow_terminal_gets_a_narrow_picture() -> None:
    parts = parts_of(timeline_of(json.dumps(TWO)))
    for columns in (10, 24, 40, 200):
        rows = picture_of(parts, BlockShape(), columns, colour=False)
        assert max(map(len, rows)) <= columns
        assert rows[1].startswith("A") and rows[1].endswith("B")


def test_check_says_blocks_and_frames_and_what_is_not_honoured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By the blocks of the preset that runs the file's model, or of another; exit code 0."""
    path = written(tmp_path, VIDEO)
    assert main(["timeline", "check", path]) == 0
    said = capsys.readouterr()
    assert "144 frames, 9.00 s, 36 blocks" in said.out and "streamdiffusionv2-1.3b" in said.out
    assert "not honoured: settings.kvCacheAttentionBias" in said.err
    assert main(["timeline", "check", path, "--preset", "tiny", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["frames"], found["blocks"]) == (True, 144, 13)
    assert [one["frame"] for one in found["changes"]] == [0, 80]
    assert len(found["not_honoured"]) == 2


def test_a_map_without_an_end_is_no_fault_and_can_be_bounded(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = written(tmp_path, {"0": "a", "48": "b"})
    assert main(["timeline", "check", path]) == 0
    assert "no end: bound it with --frames or --blocks" in capsys.readouterr().out
    for bound, frames in (("--frames=60", 60), ("--blocks=5", 54)):
        assert main(["timeline", "check", path, bound, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["frames"] == frames


def test_text_of_a_file_controls_no_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    evil = "a\x1b[2J\x07b\nc"
    path = written(tmp_path, scope("2.1", entry(0, 3, evil), pipelineId=evil) | {evil: 1})
    for command in ("check", "show"):
        for json_too in ([], ["--json"]):
            assert main(["timeline", command, path, *json_too]) == 0
            said = capsys.readouterr()
            assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f]", said.out + said.err)


def test_a_terminal_gets_colours_and_its_own_width(tmp_path: Path) -> None:
    """A real one; NO_COLOR and pipes get none."""
    path = written(tmp_path, TWO)
    command = [sys.executable, "-m", "framewire.client.cli", "timeline", "show", path]
    for variable, painted in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        os.set_blocking(ours, True)
        subprocess.run(["stty", "cols", "50"], stdin=theirs, check=True, timeout=60)
        done = subprocess.run(
            command, stdout=theirs, timeout=60, check=True,
            env={**os.environ, "TERM": "xterm", **variable},
        )  # fmt: skip
        os.close(theirs)
        shown = b""
        while chunk := _read(ours):
            shown += chunk
        os.close(ours)
        assert done.returncode == 0 and (b"\x1b[30;" in shown) is painted
        plain = re.sub(rb"\x1b\[[\d;]*m", b"", shown).decode()
        assert max(len(row) for row in plain.splitlines()[2:]) <= 50
    piped = subprocess.run(command, capture_output=True, timeout=60, check=True)
    assert b"\x1b" not in piped.stdout


def _read(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # nobody has the other end any more
        return b""
