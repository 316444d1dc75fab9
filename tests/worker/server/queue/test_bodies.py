"""Bodies wait as files, within one bound for all, and none is left that nobody waits for."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from framewire.worker.server.queue.bodies import BodyTooLarge, JobBodies, NoRoom


async def pieces(*sizes: int) -> AsyncIterator[bytes]:
    for size in sizes:
        yield b"x" * size


async def broken() -> AsyncIterator[bytes]:
    yield b"x" * 40
    raise ConnectionError("the caller left")


async def test_a_body_is_written_as_it_comes(tmp_path: Path) -> None:
    bodies = JobBodies(tmp_path / "bodies", 100)
    assert await bodies.write("a", pieces(10, 0, 20), 30) == 30
    assert bodies.path("a").read_bytes() == b"x" * 30
    bodies.remove("a")
    bodies.remove("a")
    assert list((tmp_path / "bodies").iterdir()) == []


async def test_what_does_not_become_a_body_leaves_nothing_and_takes_no_room(
    tmp_path: Path,
) -> None:
    bodies = JobBodies(tmp_path / "bodies", 100)
    for _ in range(5):
        with pytest.raises(BodyTooLarge):
            await bodies.write("a", pieces(20, 11), 30)
        with pytest.raises(ConnectionError):
            await bodies.write("b", broken(), 90)
    await bodies.write("c", pieces(60), 60)
    with pytest.raises(NoRoom):
        await bodies.write("d", pieces(41), 60)
    await bodies.write("e", pieces(40), 60)
    assert {path.name for path in (tmp_path / "bodies").iterdir()} == {"c", "e"}


async def test_what_an_earlier_process_left_counts_and_the_rest_is_removed(
    tmp_path: Path,
) -> None:
    before = JobBodies(tmp_path / "bodies", 100)
    for name in ("a", "b"):
        await before.write(name, pieces(50), 60)
    bodies = JobBodies(tmp_path / "bodies", 100)
    bodies.adopt({"a", "never came"})
    assert [path.name for path in (tmp_path / "bodies").iterdir()] == ["a"]
    with pytest.raises(NoRoom):
        await bodies.write("c", pieces(51), 60)
    await bodies.write("c", pieces(50), 60)
