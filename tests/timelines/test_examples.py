"""The timelines in `examples/`: all can be played, and their document names each of them."""

import json
import re
from pathlib import Path

import pytest
from support.servers.worker_server import serving

from framewire.client import connect
from framewire.client.cli import main
from framewire.client.timeline import load_timeline
from framewire.client.timeline.moves import parts_of, shown_frames

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "examples" / "timelines"
FILES = sorted(path for path in FOLDER.iterdir() if path.suffix in (".json", ".jsonl"))
MODELS = ("tiny", "krea", "self-forcing", "streamdiffusionv2")
WORDS = ROOT / "worker" / "engine" / "tiny" / "weights" / "vocabulary.json"


def test_there_are_two_for_each_model_and_the_document_names_them() -> None:
    said = (FOLDER / "README.md").read_text()
    assert re.findall(r"^\| `([\w.-]+)`", said, re.MULTILINE) == sorted(
        (path.name for path in FILES),
        key=lambda name: (
            [name.startswith(model) for model in MODELS].index(True),
            said.index(name),
        ),
    )
    for model in MODELS:
        assert len([path for path in FILES if path.name.startswith(model)]) == 2


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_each_of_them_is_checked_without_a_word(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that it says is honoured, and it has an end."""
    assert main(["timeline", "check", str(path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["not_honoured"] == [] and found["entries"] >= 3
    assert found["seconds"] > 10 and found["blocks"] > 10


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
async def test_each_of_them_plays_to_its_end(path: Path) -> None:
    timeline = load_timeline(path)
    async with serving() as worker, connect(worker.url) as session:
        playing = session.play(timeline, width=64, height=64)
        frames = [frame async for frame in playing]
    assert len(frames) == shown_frames(parts_of(timeline))
    assert [frame.index for frame in frames] == list(range(len(frames)))
    assert len({change.text for change in playing.changes}) >= 1
    assert all(change.block == change.at_block for change in playing.changes)


@pytest.mark.parametrize("path", [path for path in FILES if path.name.startswith("tiny")])
def test_what_is_for_tiny_is_in_its_words(path: Path) -> None:
    """It knows no others."""
    known = set(json.loads(WORDS.read_text()))
    for entry in load_timeline(path).entries:
        assert set(re.findall(r"\w+", entry.text)) <= known
