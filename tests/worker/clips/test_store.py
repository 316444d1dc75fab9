"""Clips lie for a while under names nobody can guess, never too many, and are gone at the end."""

import asyncio
from pathlib import Path

from framewire.worker.clips.store import MOST_CLIPS, ClipStore


def kept(store: ClipStore, size: int, *, lasting: bool = False) -> str:
    path = store.new_path()
    path.write_bytes(b"x" * size)
    return store.keep(path, lasting=lasting)


async def test_a_clip_is_found_by_its_name_alone(tmp_path: Path) -> None:
    store = ClipStore(tmp_path / "clips", 60, 1000, "gpu-1")
    names = {kept(store, 10) for _ in range(5)}
    assert len(names) == 5 and all(len(name) >= 36 for name in names)
    for name in names:
        path = store.find(name)
        assert path is not None and path.read_bytes() == b"x" * 10
    assert store.find("other.mp4") is None
    store.close()


async def test_the_oldest_make_room(tmp_path: Path) -> None:
    store = ClipStore(tmp_path / "clips", 60, 100, "gpu-1")
    names = [kept(store, 40) for _ in range(3)]
    assert [store.find(name) is not None for name in names] == [False, True, True]
    large = kept(store, 500)
    assert store.bytes_kept == 500 and store.find(large) is not None
    for _ in range(2 * MOST_CLIPS):
        kept(store, 0)
    assert len(list(store.new_path().parent.iterdir())) == MOST_CLIPS
    store.close()


async def test_a_clip_is_deleted_when_its_time_is_over(tmp_path: Path) -> None:
    store = ClipStore(tmp_path / "clips", 0, 1000, "gpu-1")
    path = store.find(kept(store, 10))
    assert path is not None
    await asyncio.sleep(0.001)
    assert store.bytes_kept == 0 and not path.exists()
    store.close()


async def test_nothing_is_left_behind(tmp_path: Path) -> None:
    store = ClipStore(tmp_path / "clips", 60, 1000, "gpu-1")
    kept(store, 10)
    store.close()
    assert list((tmp_path / "clips").iterdir()) == []


async def test_what_lasts_is_found_by_the_next_for_the_rest_of_its_time(tmp_path: Path) -> None:
    """Of all that lies there: a killed worker has left its other clips, and half a one."""
    store = ClipStore(tmp_path / "clips", 60, 1000, "gpu-1")
    lasting = [kept(store, 10, lasting=True) for _ in range(3)]
    other = kept(store, 10)
    store.new_path().write_bytes(b"half a clip")
    (tmp_path / "clips" / other).write_bytes(b"x" * 10)
    again = ClipStore(tmp_path / "clips", 60, 1000, "gpu-1")
    again.restore({lasting[0]: 30, lasting[1]: 0, "gone.mp4": 30})
    assert [path.name for path in (tmp_path / "clips").iterdir()] == [lasting[0]]
    assert again.find(lasting[0]) == tmp_path / "clips" / lasting[0] and again.bytes_kept == 10
    for name in (lasting[1], lasting[2], other, "gone.mp4"):
        assert again.find(name) is None
    again.close()
    assert (tmp_path / "clips" / lasting[0]).exists()
    last = ClipStore(tmp_path / "clips", 60, 1000, "gpu-1")
    last.restore({lasting[0]: 0.001})
    async with asyncio.timeout(60):
        while last.find(lasting[0]):  # noqa: ASYNC110 (a timer tells nobody)
            await asyncio.sleep(0)
    assert list((tmp_path / "clips").iterdir()) == []
