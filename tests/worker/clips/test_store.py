"""Clips lie for a while under names nobody can guess, never too many, and are gone at the end."""

import asyncio
import sys
import tempfile
from pathlib import Path

import pytest

from framewire.worker.clips.store import MOST_CLIPS, ClipStore


def kept(store: ClipStore, size: int) -> str:
    path = store.new_path()
    path.write_bytes(b"x" * size)
    return store.keep(path)


async def test_a_clip_is_found_by_its_name_alone() -> None:
    store = ClipStore(60, 1000)
    names = {kept(store, 10) for _ in range(5)}
    assert len(names) == 5 and all(len(name) >= 36 for name in names)
    for name in names:
        path = store.find(name)
        assert path is not None and path.read_bytes() == b"x" * 10
    assert store.find("other.mp4") is None
    store.close()


async def test_the_oldest_make_room() -> None:
    store = ClipStore(60, 100)
    names = [kept(store, 40) for _ in range(3)]
    assert [store.find(name) is not None for name in names] == [False, True, True]
    large = kept(store, 500)
    assert store.bytes_kept == 500 and store.find(large) is not None
    for _ in range(2 * MOST_CLIPS):
        kept(store, 0)
    assert len(list(store.new_path().parent.iterdir())) == MOST_CLIPS
    store.close()


async def test_a_clip_is_deleted_when_its_time_is_over() -> None:
    store = ClipStore(0, 1000)
    path = store.find(kept(store, 10))
    assert path is not None
    await asyncio.sleep(0.001)
    assert store.bytes_kept == 0 and not path.exists()
    store.close()


async def test_nothing_is_left_behind() -> None:
    store = ClipStore(60, 1000)
    kept(store, 10)
    folder = store.new_path().parent
    store.close()
    assert not folder.exists()


HOLDER = """
import asyncio, sys, tempfile
tempfile.tempdir = sys.argv[1]
from framewire.worker.clips.store import ClipStore

async def hold():
    store = ClipStore(60, 1000)
    path = store.new_path()
    path.write_bytes(b"x")
    store.keep(path)
    print(path, flush=True)
    await asyncio.sleep(60)

asyncio.run(hold())
"""


def there(path: Path) -> bool:
    return path.exists()


async def test_what_a_killed_worker_has_left_is_removed_by_the_next_and_a_live_one_keeps_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    other = tmp_path / "framewire-clips-0123456789abcdef"
    (tmp_path / "elsewhere").mkdir()
    other.symlink_to(tmp_path / "elsewhere")
    holder = await asyncio.create_subprocess_exec(
        sys.executable,
        "-c",
        HOLDER,
        str(tmp_path),
        stdout=asyncio.subprocess.PIPE,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    try:
        assert holder.stdout is not None
        line = await asyncio.wait_for(holder.stdout.readline(), 15)
        left = Path(line.decode().strip())
        ClipStore(60, 1000).close()
        assert there(left), "its worker lives"
    finally:
        holder.kill()
        await holder.wait()
    store = ClipStore(60, 1000)
    assert not there(left.parent)
    assert other.is_symlink() and (tmp_path / "elsewhere").is_dir()
    store.close()


@pytest.mark.parametrize("name", ["framewire-clips-of-mine", "framewire-clips-4f_x2abq"])
async def test_a_folder_that_only_begins_like_a_workers_stays(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a person's, or that of an older worker, which holds no lock."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    clip = tmp_path / name / "a.mp4"
    clip.parent.mkdir()
    clip.write_bytes(b"x")
    ClipStore(60, 1000).close()
    assert clip.read_bytes() == b"x"
