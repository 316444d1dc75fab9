"""fal-client's own uploads, sync and async, go to the worker; what they return names a clip's input.

Nothing of the package is changed but its hosts, for which it has no variables.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import fal_client
import httpx
import pytest
from PIL import Image
from support.fal_js import fal_js
from support.servers.worker_server import PATIENCE, Running, serving
from support.video_files_made import seen, video

KEY = "key-id:key-secret"
JWT = {"auth": "jwt", "key": KEY}
CLIP = {"prompt": "a", "width": 128, "height": 64}


@pytest.fixture
async def worker(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Running]:
    async with serving(**JWT) as running:
        point_to(running, monkeypatch)
        yield running


def point_to(worker: Running, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fal_client.client, "RUN_URL_FORMAT", f"{worker.http}/")
    for host in ("REST_URL", "CDN_URL"):
        monkeypatch.setattr(fal_client.client, host, worker.http)


async def got(url: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=PATIENCE, verify=False) as client:
        return await client.get(url)


async def in_thread(call: Any, *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(call, *arguments, **named)


async def closed(client: fal_client.AsyncClient) -> None:
    await (await client._client).aclose()


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_data_files_and_pictures_come_back_as_they_were(
    worker: Running, tmp_path: Path
) -> None:
    path = tmp_path / "clip of mine.mp4"
    path.write_bytes(video([(200, 0, 0)] * 3))
    picture = Image.new("RGB", (64, 64), (10, 200, 30))
    sync, other = fal_client.SyncClient(key=KEY), fal_client.AsyncClient(key=KEY)
    urls = {
        await in_thread(sync.upload, b"some bytes", "text/plain"): "text/plain; charset=utf-8",
        await in_thread(sync.upload_file, path): "video/mp4",
        await in_thread(sync.upload_image, picture): "image/jpeg",
        await other.upload(
            "some text", "text/plain", file_name="a.txt"
        ): "text/plain; charset=utf-8",
        await other.upload_file(path): "video/mp4",
        await other.upload_image(picture, "png"): "image/png",
    }
    assert len(urls) == 6 and all(url.startswith(f"{worker.http}/files/") for url in urls)
    for url, kind in urls.items():
        answer = await got(url)
        assert answer.status_code == 200 and answer.headers["content-type"] == kind
        if kind == "video/mp4":
            assert answer.content == path.read_bytes() and url.endswith(".mp4")
            assert "clip%20of%20mine.mp4" in answer.headers["content-disposition"]
    await closed(other)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.parametrize("repository", ["fal_v3", "fal"])
async def test_an_uploaded_video_becomes_a_clip_without_a_rule_of_the_operator(
    worker: Running, tmp_path: Path, repository: Any
) -> None:
    path = tmp_path / "in.mp4"
    path.write_bytes(video([(200, 0, 0)] * 20))
    client = fal_client.AsyncClient(key=KEY)
    url = await client.upload_file(path, repository=repository, fallback_repository=[])
    arguments = CLIP | {"video_url": url, "num_frames": 18}
    said = await client.run("fal-ai/krea-wan-14b/video-to-video", arguments)
    assert len(seen((await got(said["video"]["url"])).content).frames) == 18
    await closed(client)


async def test_an_uploaded_picture_begins_a_clip(worker: Running) -> None:
    client = fal_client.AsyncClient(key=KEY)
    url = await client.upload_image(Image.new("RGB", (128, 64), (10, 200, 30)), "png")
    arguments = CLIP | {"image_url": url, "num_frames": 18, "seed": 7}
    said = await client.run("fal-ai/krea-wan-14b/image-to-video", arguments)
    first = seen((await got(said["video"]["url"])).content).frames[0].mean((0, 1))
    assert first[1] > first[0] + 50 and first[1] > first[2] + 50
    await closed(client)


@pytest.mark.filterwarnings("ignore::ResourceWarning")
async def test_a_file_of_more_than_100_megabytes_goes_in_parts(
    worker: Running, tmp_path: Path
) -> None:
    path = tmp_path / "large.bin"
    marks = {0: b"first", 52_428_795: b"between two parts", 104_857_700: b"last"}
    with path.open("wb") as file:
        for at, mark in marks.items():
            file.seek(at)
            file.write(mark)
    size = path.stat().st_size
    assert size > fal_client.client.MULTIPART_THRESHOLD
    client = fal_client.AsyncClient(key=KEY)
    for url in (
        await in_thread(fal_client.SyncClient(key=KEY).upload_file, path),
        await client.upload_file(path),
    ):
        async with httpx.AsyncClient(timeout=PATIENCE, verify=False) as plain:
            head = await plain.head(url)
            assert int(head.headers["content-length"]) == size
            for at, mark in marks.items():
                wanted = {"Range": f"bytes={at}-{at + len(mark) - 1}"}
                assert (await plain.get(url, headers=wanted)).content == mark


async def test_without_the_key_nothing_is_taken(worker: Running) -> None:
    client = fal_client.AsyncClient(key="another:key")
    with pytest.raises(httpx.HTTPStatusError) as refused:
        await client.upload(b"bytes", "text/plain", fallback_repository="fal_v3")
    assert refused.value.response.status_code == 401
    with pytest.raises(fal_client.client.FalClientHTTPError, match="this worker's key is needed"):
        await client.upload(b"bytes", "text/plain", repository="fal")
    await closed(client)


async def test_what_is_too_large_is_told_in_the_sdk_s_own_error(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with serving(upload_file_megabytes=1, **JWT) as worker:
        point_to(worker, monkeypatch)
        client = fal_client.AsyncClient(key=KEY)
        for repository in ("fal_v3", "fal"):
            with pytest.raises(fal_client.client.FalClientHTTPError) as refused:
                await client.upload(
                    b"x" * 1_000_001,
                    "video/mp4",
                    repository=repository,  # type: ignore[arg-type]
                    fallback_repository=repository,  # type: ignore[arg-type]
                )
            assert refused.value.status_code == 413
            assert "a file may have 1 MB here" in str(refused.value)
        await closed(client)


async def test_the_javascript_client_uploads_through_the_proxy_also_what_a_run_is_given(
    tmp_path: Path,
) -> None:
    """It sends the bytes themselves to the URLs that it is told, more than 90 MB in parts."""
    path = tmp_path / "in.mp4"
    path.write_bytes(video([(200, 0, 0)] * 3))
    async with serving() as worker:
        said = await fal_js("uploads.mjs", f"{worker.http}/api/fal", str(path))
    assert said["small"] == "some bytes" and said["seed"] == 7
    assert said["large"] == [95 * 1024 * 1024, 7, 7]
    assert (said["refused"]["name"], said["refused"]["status"]) == ("ValidationError", 422)
    assert "whoever knows its URL may" in said["refused"]["words"]
