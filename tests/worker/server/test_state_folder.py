"""What outlives a worker lies in a folder that is its own alone, and is found by the next one."""

import sys
from pathlib import Path

import pytest
from support.servers.worker_server import launched

from framewire.worker.config import Config
from framewire.worker.server.state_folder import StateFolder, StateFolderError


def opened(**config: object) -> StateFolder:
    folder = StateFolder(Config.load({}, **config))
    folder.open()
    return folder


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("HOME", str(tmp_path))
    return tmp_path


def test_a_worker_that_is_started_again_on_its_port_finds_its_folder(home: Path) -> None:
    first = opened(port=8123)
    assert first.path == home / ".local" / "state" / "framewire" / "8123"
    (first.path / "kept").write_text("there")
    first.close()
    again = opened(port=8123)
    assert (again.path / "kept").read_text() == "there"
    again.close()


def test_with_port_0_nothing_is_left_behind(home: Path) -> None:
    folder = opened(port=0)
    path = folder.path
    assert path.is_dir() and home not in path.parents
    folder.close()
    assert not path.exists() and not any(home.iterdir())


@pytest.mark.skipif(sys.platform == "win32", reason="no locks on folders there")
def test_two_workers_never_share_a_folder(home: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, second = opened(port=8123), opened(port=8123)
    assert first.path != second.path and second.path.is_dir()
    assert "another worker has it" in caplog.text and "--state-folder" in caplog.text
    with pytest.raises(StateFolderError, match="another worker has it"):
        opened(state_folder=str(first.path))
    for folder in (first, second):
        folder.close()
    opened(state_folder=str(home / ".local" / "state" / "framewire" / "8123")).close()


def test_a_folder_with_a_user_s_own_files_is_never_taken(home: Path) -> None:
    """A worker deletes what it does not know in its folder."""
    mine = home / "uploads" / "holiday.mp4"
    mine.parent.mkdir()
    mine.touch()
    with pytest.raises(StateFolderError, match="no worker's: name a new folder"):
        opened(state_folder=str(home))
    assert mine.exists() and sorted(path.name for path in home.iterdir()) == ["uploads"]
    (home / "new" / "self-signed").mkdir(parents=True)  # as `env` and `--self-signed` make it
    opened(state_folder=str(home / "new")).close()
    opened(state_folder=str(home / "new")).close()


async def test_a_folder_that_cannot_be_is_said_in_one_line_before_anything_is_served(
    tmp_path: Path,
) -> None:
    (tmp_path / "file").touch()
    process = await launched("--state-folder", str(tmp_path / "file" / "folder"))
    assert process.stderr is not None
    said = (await process.stderr.read()).decode().splitlines()
    assert await process.wait() == 2
    assert said[-1].startswith("framewire-worker serve: state_folder ") and "file" in said[-1]
