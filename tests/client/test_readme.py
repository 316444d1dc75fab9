"""The client's document tells the truth: its programs run, its errors and options exist."""

import json
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import framewire.client
from framewire.client import FramewireError
from framewire.client.cli import main

TEXT = (Path(__file__).parents[2] / "client" / "README.md").read_text(encoding="utf-8")
PROGRAMS = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
SAYS = [
    r"^0 \d+\n[\s\S]*^29 \d+\n$",
    r"^18\n$",
    r"^18 frames, the newest picture \d+\.\d+ s old$",
    r"^\['a.mp4', 'a.webm', 'a.gif', 'a.png', 'frames'\]\n$",
    r"^102 frames, whatever happened\n$",
    r"^96 \[\('an owl', 4\)\]\n$",
]
URL = "ws://127.0.0.1:8000/ws"


@pytest.fixture(scope="module")
def worker_url() -> Iterator[str]:
    """A worker with the test card, in a process of its own."""
    command = [sys.executable, "-m", "framewire.worker.cli", "serve", "--backend", "testcard"]
    with subprocess.Popen(
        [*command, "--port", "0", "--json"], stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["url"]
        finally:
            process.terminate()


@pytest.mark.parametrize(("program", "says"), list(zip(PROGRAMS, SAYS, strict=True)))
def test_each_program_runs_as_it_stands(
    program: str,
    says: str,
    worker_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """But for the port of the worker."""
    assert URL in program
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "program.py"
    path.write_text(program.replace(URL, worker_url))
    runpy.run_path(str(path))
    assert re.search(says, capsys.readouterr().out, re.MULTILINE)


def test_every_error_is_in_the_table_with_its_code() -> None:
    """Whoever adds one says here when it comes."""
    section = TEXT.split("## Errors")[1].split("\n## ")[0]
    rows = dict(re.findall(r"^\| `(\w+)` \| `(\w+)` \|", section, re.MULTILINE))
    known = {
        name: value.default_code
        for name, value in vars(framewire.client).items()
        if isinstance(value, type) and issubclass(value, FramewireError)
    }
    known.pop("FramewireError")
    assert known.items() <= rows.items()


def test_every_option_that_is_named_exists_and_every_option_is_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """As `framewire stream --help` lists them, each at the beginning of a line."""
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", TEXT.split("## Command line")[1]))
    with pytest.raises(SystemExit):
        main(["stream", "--help"])
    said = capsys.readouterr().out
    assert named <= set(re.findall(r"--[a-z][a-z-]+", said))
    listed = set(re.findall(r"^  (--[a-z][a-z-]+)", said, re.MULTILINE))
    assert len(listed) > 20 and listed <= set(re.findall(r"--[a-z][a-z-]+", TEXT))


def test_every_class_and_function_that_is_imported_is_public() -> None:
    for line in re.findall(r"^from framewire.client import (.+)$", TEXT, re.MULTILINE):
        assert set(line.split(", ")) <= set(framewire.client.__all__)
