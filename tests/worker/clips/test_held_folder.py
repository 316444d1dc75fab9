"""A temporary folder is gone after its process, also where that was killed, and no other is."""

import asyncio
import sys
import tempfile
from pathlib import Path

import pytest

from framewire.worker.clips.held_folder import remove_abandoned

PREFIX = "framewire-state-"
HOLDER = """
import sys, tempfile
tempfile.tempdir = sys.argv[1]
from framewire.worker.clips.held_folder import HeldFolder

path = HeldFolder("framewire-state-").path / "clip"
path.write_bytes(b"x")
print(path, flush=True)
sys.stdin.read()
"""


def there(path: Path) -> bool:
    return path.exists()


async def test_what_a_killed_worker_has_left_is_removed_by_the_next_and_a_live_one_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = tmp_path / "framewire-state-0123456789abcdef"
    (tmp_path / "elsewhere").mkdir()
    other.symlink_to(tmp_path / "elsewhere")
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        str(tmp_path),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    try:
        assert holder.stdout is not None
        line = await asyncio.wait_for(holder.stdout.readline(), 60)
        left = Path(line.decode().strip())
        remove_abandoned(PREFIX)
        assert there(left), "its worker lives"
    finally:
        holder.kill()
        await holder.wait()
    remove_abandoned(PREFIX)
    assert not there(left.parent)
    assert other.is_symlink() and (tmp_path / "elsewhere").is_dir()


@pytest.mark.parametrize("name", ["framewire-state-of-mine", "framewire-state-4f_x2abq"])
async def test_a_folder_that_only_begins_like_a_workers_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a person's, or that of an older worker, which holds no lock."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clip = tmp_path / name / "a.mp4"
    clip.parent.mkdir()
    clip.write_bytes(b"x")
    remove_abandoned(PREFIX)
    assert clip.read_bytes() == b"x"
