"""Uploads are whole or nothing, bounded in all and for each address, and outlive their worker."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from support.clock import time_passes

from framewire.worker.config import Config
from framewire.worker.server.storage import store as store_module
from framewire.worker.server.storage.errors import (
    NoSuchUpload,
    NotWritten,
    PartsMissing,
    StoreFull,
    TooManyUploads,
    UploadTooLarge,
)
from framewire.worker.server.storage.half_upload import HalfUpload
from framewire.worker.server.storage.store import Upload, UploadStore

PATIENCE = 60.0
MEGABYTE = 1_000_000
FULL = Path("/dev/full")


def store_in(folder: Path, **config: Any) -> UploadStore:
    return UploadStore(folder, Config(**config))


async def until(happened: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not happened():  # noqa: ASYNC110 (a count tells nobody)
            await asyncio.sleep(0.005)


def url_of(name: str) -> str:
    return f"http://127.0.0.1:8000/files/{name}"


async def pieces(*data: bytes) -> AsyncIterator[bytes]:
    for piece in data:
        yield piece


def begun(store: UploadStore, **about: Any) -> HalfUpload:
    return store.begin(url_of, "video/mp4", **about)


async def kept(store: UploadStore, data: bytes, **about: Any) -> Upload:
    half = begun(store, **about)
    try:
        await half.receive(1, pieces(data))
        return await store.complete(half, None)
    finally:
        store.discard(half)


def files(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_parts_come_in_any_order_and_the_last_of_a_number_counts(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    half = begun(store, file_name="a.MP4")
    third = await half.receive(30, pieces(b"end"))
    stale = await half.receive(2, pieces(b"of no use"))
    first = await half.receive(1, pieces(b"begin", b"ning "))
    second = await half.receive(2, pieces(b"middle "))
    with pytest.raises(PartsMissing, match="2"):
        await store.complete(half, [(1, first), (2, stale), (30, third)])
    with pytest.raises(PartsMissing, match="none is named"):
        await store.complete(half, [])
    upload = await store.complete(half, [(30, f'"{third}"'), (1, first), (2, second)])
    assert store.path(upload).read_bytes() == b"beginning middle end"
    assert upload.size == store.bytes_kept == 20 and upload.name.endswith(".mp4")
    assert files(tmp_path) == sorted([upload.name, upload.name + ".json"])
    with pytest.raises(NoSuchUpload):
        await half.receive(3, pieces(b"late"))
    assert store.completed(upload.name, half.id) == upload
    assert store.completed(upload.name, "another") is None
    store.close()


async def test_a_file_is_found_by_what_was_told_alone(tmp_path: Path) -> None:
    store = store_in(tmp_path)
    upload = await kept(store, b"bytes", file_name="in.mp4")
    assert store.path_of_url(upload.url) == tmp_path / upload.name
    name = upload.name
    for other in (
        f"http://127.0.0.1:8000.evil.example/files/{name}",
        f"http://evil.example/files/{name}",
        f"http://127.0.0.1:8000@evil.example/files/{name}",
        f"http://127.0.0.1:8001/files/{name}",
        f"https://127.0.0.1:8000/files/{name}",
        f"http://127.0.0.1:8000/other/{name}",
        f"http://127.0.0.1:8000/files/../files/{name}",
        f"http://127.0.0.1:8000/files/{name}.json",
        f"http://127.0.0.1:8000/files/{name}/",
        upload.url + "?x",
        upload.url.upper(),
        f"file://{tmp_path}/{name}",
        "http://[::1/files/" + name,
        name,
        "",
    ):
        assert store.path_of_url(other) is None, other
    store.close()


async def test_bounds_of_a_file_of_an_address_and_of_all(tmp_path: Path) -> None:
    store = store_in(
        tmp_path,
        upload_file_megabytes=2,
        upload_megabytes=5,
        caller_upload_megabytes=3,
        max_uploads=4,
    )
    with pytest.raises(UploadTooLarge, match="2 MB"):
        await kept(store, b"x" * (2 * MEGABYTE + 1))
    assert store.bytes_kept == 0 and files(tmp_path) == []
    await kept(store, b"x" * 2 * MEGABYTE, owner="a")
    with pytest.raises(StoreFull, match="from your address"):
        await kept(store, b"x" * 2 * MEGABYTE, owner="a")
    await kept(store, b"x" * 2 * MEGABYTE, owner="b")
    with pytest.raises(StoreFull, match="5 MB"):
        await kept(store, b"x" * 2 * MEGABYTE, owner="c")
    assert store.bytes_kept == 4 * MEGABYTE and len(files(tmp_path)) == 4
    await kept(store, b"x")
    await kept(store, b"x")
    with pytest.raises(StoreFull, match="4 uploads"):
        begun(store)
    store.close()


async def test_the_parts_of_one_file_count_together_also_those_on_their_way(
    tmp_path: Path,
) -> None:
    store = store_in(tmp_path, upload_file_megabytes=2)
    half = begun(store)
    go_on = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"x" * 1_500_000
        await go_on.wait()

    receiving = asyncio.create_task(half.receive(1, slow()))
    await until(lambda: store.bytes_kept == 1_500_000)
    with pytest.raises(UploadTooLarge):
        await half.receive(2, pieces(b"x" * 600_000))
    with pytest.raises(PartsMissing, match="on its way"):
        await store.complete(half, None)
    go_on.set()
    await receiving
    assert (await store.complete(half, None)).size == 1_500_000 == store.bytes_kept
    store.close()


async def test_one_address_has_only_so_many_under_way(tmp_path: Path) -> None:
    store = store_in(tmp_path, caller_uploads=2)
    first, _ = begun(store, owner="a"), begun(store, owner="a")
    with pytest.raises(TooManyUploads, match="2 uploads"):
        begun(store, owner="a")
    begun(store, owner="b")
    begun(store)
    store.discard(first)
    begun(store, owner="a")
    store.close()


async def test_a_file_is_deleted_when_its_time_is_over(tmp_path: Path) -> None:
    store = store_in(tmp_path, upload_life=1)
    brief = await kept(store, b"brief", life=0.02, owner="a")
    long = await kept(store, b"long", life=10**9, owner="a")
    assert long.expires_at < time.time() + 1.5
    await until(lambda: store.find(brief.name) is None)
    assert store.path_of_url(brief.url) is None and not store.path(brief).exists()
    assert store.bytes_kept <= len(b"long")
    store.close()


async def test_an_upload_of_which_nothing_comes_any_more_is_forgotten(
    tmp_path: Path,
) -> None:
    store = store_in(tmp_path)
    half = begun(store, owner="a")
    etag = await half.receive(1, pieces(b"one part"))
    time_passes(store_module.HALF_SECONDS)
    await until(lambda: not store.bytes_kept)
    with pytest.raises(NoSuchUpload):
        store.half(half.about.name, half.id)
    with pytest.raises(NoSuchUpload):
        await store.complete(half, [(1, etag)])
    assert files(tmp_path) == []
    store.close()


async def test_whole_files_outlive_their_worker_and_nothing_else_does(tmp_path: Path) -> None:
    first = store_in(tmp_path)
    upload = await kept(first, b"whole", file_name="in.mp4", owner="a")
    brief = await kept(first, b"brief", life=0.001)
    cut = await kept(first, b"was longer")
    half = begun(first)
    await half.receive(1, pieces(b"half"))
    assert len(files(tmp_path)) >= 5
    await asyncio.sleep(0.002)
    first.path(cut).write_bytes(b"cut")
    (tmp_path / "stray.part").touch()
    (tmp_path / "broken.json").write_text("{")
    outside = tmp_path.parent / "outside"
    outside.write_bytes(b"whole")
    lie = json.loads(upload.model_dump_json()) | {"name": "../outside"}
    (tmp_path / "lie.json").write_text(json.dumps(lie))
    again = store_in(tmp_path)  # as after a kill: the first one was not closed
    assert again.find(upload.name) == upload and again.path(upload).read_bytes() == b"whole"
    assert again.path_of_url(upload.url) == tmp_path / upload.name
    assert again.find(brief.name) is None and again.find(cut.name) is None
    assert again.path_of_url(url_of("../outside")) is None and outside.read_bytes() == b"whole"
    assert files(tmp_path) == sorted([upload.name, upload.name + ".json"])
    assert again.bytes_kept == 5
    again.close()


@pytest.mark.skipif(not FULL.exists(), reason="needs /dev/full")
async def test_a_full_disk_is_said_in_words_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_in(tmp_path)
    opened = Path.open
    monkeypatch.setattr(Path, "open", lambda path, mode: opened(FULL, "wb"))
    with pytest.raises(NotWritten, match="No space left on device"):
        await kept(store, b"x" * MEGABYTE, owner="a")
    assert store.bytes_kept == 0 and files(tmp_path) == []
    store.close()
