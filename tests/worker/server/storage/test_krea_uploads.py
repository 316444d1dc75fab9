"""Uploads as Krea's page makes them, and what their ids stand for on the wire."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from support.servers.worker_server import PATIENCE, Running, serving
from support.video_files_made import video
from support.viewers.raw_viewer import SMALL, apart, colour, connected, pixels, streamed

JWT = {"auth": "jwt", "key": "k1"}
KEY = {"Authorization": "Key k1"}
PICTURES = (6, 12)
"""That the testcard's first block takes, and each later one."""
RED = colour((200, 0, 0))
BOUNDARY = {"Content-Type": "multipart/form-data; boundary=b"}


@pytest.fixture
async def worker() -> AsyncIterator[Running]:
    async with serving() as running:
        yield running


async def post(worker: Running, path: str, **request: Any) -> httpx.Response:
    async with httpx.AsyncClient(base_url=worker.http, trust_env=False, timeout=PATIENCE) as client:
        return await client.post(path, **request)


async def uploaded(worker: Running, data: bytes, path: str = "/upload_start_frame") -> str:
    answer = await post(worker, path, files={"file": ("in.jpg", data, "image/jpeg")})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["path"])


async def refused(worker: Running, **params: Any) -> dict[str, Any]:
    """The one error that the params get; the socket stays open."""
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=1, **SMALL, **params)
        (error,) = (await viewer.next())["error"]
        await viewer.say(prompt="a", num_blocks=1, **SMALL)
        assert len((await viewer.stream()).frames) == 6
    return dict(error)


async def test_an_uploaded_start_frame_makes_the_frames_that_its_bytes_make(
    worker: Running,
) -> None:
    answer = await post(
        worker,
        "/upload_start_frame",
        data={"other": "field"},
        files={"file": ("in mine.jpg", RED, "image/jpeg")},
    )
    said = answer.json()
    assert set(said) == {"path", "filename"} and said["filename"] == "in mine.jpg"
    assert said["path"].startswith("upload:") and "/" not in said["path"]
    params = {"prompt": "a", "seed": 7, "num_blocks": 2}
    by_id = await streamed(worker.url, start_frame=said["path"], **params)
    assert by_id == await streamed(worker.url, start_frame=RED, **params)
    assert by_id != await streamed(worker.url, **params)
    async with connected(worker.url) as viewer:  # the id counts for the next stream as well
        await viewer.say(start_frame=said["path"], **params, **SMALL)
        assert (await viewer.stream()).frames == by_id
        await viewer.say(action="reset")
        assert (await viewer.stream()).frames == by_id
        await viewer.say(**params)
        assert (await viewer.stream()).frames == by_id


@pytest.mark.parametrize(
    "said",
    ["/etc/passwd", "upload:/etc/passwd", "upload:../../x", "upload:", "http://127.0.0.1/x.jpg",
     "upload:" + "a" * 24 + "/../x", "upload:" + "a" * 24 + ".json.part", "upload: " + "a" * 24],
)  # fmt: skip
async def test_a_start_frame_that_is_no_id_is_no_path_either(worker: Running, said: str) -> None:
    error = await refused(worker, start_frame=said)
    assert error["loc"] == ["start_frame"] and "not opened" in error["msg"]


async def test_ids_that_stand_for_nothing_or_for_no_picture_are_refused_in_words(
    worker: Running,
) -> None:
    error = await refused(worker, start_frame="upload:" + "a" * 32 + ".jpg")
    assert error["loc"] == ["start_frame"] and "no such upload" in error["msg"]
    text = await uploaded(worker, b"no picture")
    error = await refused(worker, start_frame=text)
    assert error["loc"] == ["start_frame"] and "not a JPEG" in error["msg"]
    large = await uploaded(worker, RED + bytes(17_000_000))
    error = await refused(worker, start_frame=large)
    assert "more than" in error["msg"] and "MB" in error["msg"]


async def test_an_id_is_tried_again_and_the_twentieth_refusal_closes(worker: Running) -> None:
    async with connected(worker.url) as viewer:
        for _ in range(20):
            await viewer.say(prompt="a", start_frame="upload:" + "a" * 32)
            assert (await viewer.next())["error"][0]["loc"] == ["start_frame"]
        assert (await viewer.end()).last.code == 1008


async def test_whoever_may_stream_may_upload_and_nobody_else() -> None:
    files = {"file": ("in.jpg", RED, "image/jpeg")}
    async with serving(**JWT) as worker:
        mint = await post(worker, "/api/fal", headers=KEY)
        query = f"?fal_jwt_token={mint.json()['token']}"
        for path in ("/upload_start_frame", "/upload_video"):
            assert (await post(worker, path + query, files=files)).status_code == 200
            assert (await post(worker, path, files=files, headers=KEY)).status_code == 200
            none = await post(worker, path, files=files)
            assert none.status_code == 401 and "token" in none.json()["error"]
            assert none.json()["error"] == none.json()["detail"]
    async with serving() as worker:
        evil = {"Origin": "https://evil.example"}
        answer = await post(worker, "/upload_video", files=files, headers=evil)
        assert answer.status_code == 401


@pytest.mark.parametrize(
    ("body", "headers", "words"),
    [
        (b"", {}, "send multipart/form-data"),
        (b'{"file": "x"}', {"Content-Type": "application/json"}, "send multipart/form-data"),
        (b"", {"Content-Type": "multipart/form-data"}, "send multipart/form-data"),
        (b"nonsense", BOUNDARY, "no multipart/form-data"),
        (b"", BOUNDARY, "breaks off"),
        (b"--b\r\n", BOUNDARY, "breaks off"),
        (
            b'--b\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nxyz',
            BOUNDARY,
            "breaks off",
        ),
        (
            b'--b\r\nContent-Disposition: form-data; name="other"\r\n\r\nx\r\n--b--\r\n',
            BOUNDARY,
            "no part called 'file'",
        ),
        (b"--b\r\n" + b"X: y\r\n" * 100 + b"\r\nx\r\n--b--\r\n", BOUNDARY, "no multipart"),
        (b"--b\r\nX: " + b"y" * 10_000 + b"\r\n\r\nx\r\n--b--\r\n", BOUNDARY, "no multipart"),
    ],
)
async def test_a_body_that_is_no_form_with_a_file_is_refused_in_words(
    worker: Running, body: bytes, headers: dict[str, str], words: str
) -> None:
    answer = await post(worker, "/upload_video", content=body, headers=headers)
    assert answer.status_code == 422 and words in answer.json()["error"]
    uploads = worker.server._app.state.uploads
    assert uploads.bytes_kept == 0 and not uploads._halves


async def test_a_form_in_any_pieces_gives_the_file_byte_for_byte(worker: Running) -> None:
    data = bytes(range(256)) * 4 + b"\r\n--b\r\n-\r\n--" + b"\r\n--bx"
    head = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.bin"\r\n\r\n'
    form = head + data.replace(b"\r\n--b\r\n", b"\r\n--c\r\n").replace(b"\r\n--bx", b"")
    expected = form[len(head) :]
    form += b"\r\n--b--\r\n"

    async def in_pieces(size: int) -> AsyncIterator[bytes]:
        for start in range(0, len(form), size):
            yield form[start : start + size]
            await asyncio.sleep(0)

    for size in (1, 3, 64, len(form)):
        answer = await post(worker, "/upload_video", content=in_pieces(size), headers=BOUNDARY)
        assert answer.status_code == 200, answer.text
        store = worker.server._app.state.uploads
        kept = store.find(answer.json()["path"].removeprefix("upload:"))
        assert await asyncio.to_thread(Path.read_bytes, store.path(kept)) == expected


async def test_a_file_of_a_form_has_the_bounds_of_any_upload() -> None:
    async with serving(upload_file_megabytes=1) as worker:
        for size, status in ((1_000_000, 200), (1_000_001, 413), (1_300_000, 413)):
            files = {"file": ("in.mp4", bytes(size), "video/mp4")}
            answer = await post(worker, "/upload_video", files=files)
            assert answer.status_code == status, answer.text
        assert worker.server._app.state.uploads.bytes_kept == 1_000_000


async def test_an_uploaded_video_is_the_input_of_a_stream_and_ends_it(worker: Running) -> None:
    """25 frames at 16 a second fill blocks of 6, 12 and 12 pictures, the last one padded."""
    path = await uploaded(worker, video([(200, 0, 0)] * 25), "/upload_video")
    params = {"prompt": "a", "seed": 7, "strength": 0.1, "input_video": path, "webcam_mode": False}
    frames = await streamed(worker.url, num_blocks=20, **params)
    wanted = worker.inside.backend.defaults
    blocks = 1 + -(-(25 - PICTURES[0]) // PICTURES[1])
    assert len(frames) == wanted.first_block_frames + (blocks - 1) * wanted.block_frames
    assert pixels(frames[-1])[..., 0].mean() > 120 > pixels(frames[-1])[..., 2].mean()
    text = await streamed(worker.url, prompt="a", seed=7, num_blocks=1)
    assert apart(frames[0], text[0]) > 10
    assert len(await streamed(worker.url, num_blocks=1, **params)) == wanted.first_block_frames


async def test_the_colours_of_a_video_come_in_its_order(worker: Running) -> None:
    colours = [(200, 0, 0)] * 21 + [(0, 0, 200)] * 24
    path = await uploaded(worker, video(colours), "/upload_video")
    frames = await streamed(worker.url, prompt="a", num_blocks=20, strength=0.1, input_video=path)
    first, last = pixels(frames[0]).mean((0, 1)), pixels(frames[-1]).mean((0, 1))
    assert first[0] > first[2] + 50 and last[2] > last[0] + 50


async def test_a_stream_of_a_video_can_be_steered_reset_and_ended_without_losing_a_picture(
    worker: Running,
) -> None:
    path = await uploaded(worker, video([(200, 0, 0)] * 54), "/upload_video")
    params = {"seed": 7, "strength": 0.1, "num_blocks": 50, "input_video": path, **SMALL}
    async with connected(worker.url + "?events=1") as viewer:
        await viewer.say(prompt="a", **params)
        for number in range(30):  # each interrupts whatever the stream waits for
            await viewer.say(prompt=f"b{number}")
        whole = (await viewer.stream()).frames
        await viewer.say(action="reset", prompt="a")
        again = (await viewer.stream()).frames
        assert len(whole) == len(again) == 54
        # A minute of it, so that it is not over before it is told to be.
        path = await uploaded(worker, video([(200, 0, 0)] * 600), "/upload_video")
        await viewer.say(prompt="a", input_video=path, fps=10)
        await viewer.frame()
        await viewer.say(image=RED, request_id="late")
        warned = (await viewer.event("warning")).last
        assert warned["request_id"] == "late" and "input_video" in warned["reason"]
        await viewer.say(action="end")
        assert len((await viewer.stream()).frames) < 300
        await viewer.say(prompt="c", webcam_mode=False, num_blocks=1)
        assert len((await viewer.stream()).frames) == 6


async def test_videos_that_are_none_or_are_gone_are_refused_and_the_socket_stays(
    worker: Running,
) -> None:
    none = await uploaded(worker, b"no video at all", "/upload_video")
    for said, words in (
        (none, "not an MP4"),
        ("upload:" + "a" * 32 + ".mp4", "no such upload"),
        ("/etc/passwd", "not opened"),
        ("http://127.0.0.1/in.mp4", "not opened"),
        (7, "must be the id"),
    ):
        error = await refused(worker, input_video=said)
        assert error["loc"] == ["input_video"] and words in error["msg"]
    assert len(await streamed(worker.url, prompt="a", num_blocks=1, input_video="")) == 6


async def test_a_video_larger_than_an_input_may_be_is_refused() -> None:
    async with serving(video_megabytes=1) as worker:
        path = await uploaded(worker, bytes(1_000_001), "/upload_video")
        error = await refused(worker, input_video=path)
        assert error["loc"] == ["input_video"] and "1 MB" in error["msg"]


async def test_a_drain_ends_a_stream_of_a_video(worker: Running) -> None:
    path = await uploaded(worker, video([(200, 0, 0)] * 200), "/upload_video")
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="a", num_blocks=50, input_video=path, **SMALL)
        await viewer.frame()
        worker.inside.begin_drain()
        assert (await viewer.end()).last.code == 1012
