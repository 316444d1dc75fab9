"""`POST /image-to-video`: a clip begins with the picture that was sent, and goes on from there."""

import base64
import io
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest
from PIL import Image
from support.engines.scripted_backend import ScriptedBackend
from support.hostile_pictures import jpeg_of_scans, jpeg_of_size
from support.servers.worker_server import PATIENCE, Running, serving
from support.video_files_made import seen

from framewire.worker.backends.base import Defaults

RED = (200, 20, 20)


def picture(colour: tuple[int, int, int] = RED, size: tuple[int, int] = (128, 64)) -> str:
    data = io.BytesIO()
    Image.new("RGB", size, colour).save(data, "PNG")
    return data_url(data.getvalue())


def data_url(data: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(data).decode()


@pytest.fixture
async def worker() -> AsyncIterator[Running]:
    async with serving() as running:
        yield running


async def ask(worker: Running, **body: Any) -> httpx.Response:
    small = {"prompt": "a red circle", "width": 128, "height": 64, "num_frames": 18}
    async with httpx.AsyncClient(timeout=PATIENCE, verify=False) as client:
        return await client.post(worker.http + "/image-to-video", json=small | body)


async def test_the_clip_begins_with_the_picture(worker: Running) -> None:
    answer = await ask(worker, image_url=picture())
    assert answer.status_code == 200, answer.text
    async with httpx.AsyncClient(verify=False, timeout=PATIENCE) as client:
        clip = seen((await client.get(answer.json()["video"]["url"])).content)
    assert (len(clip.frames), clip.size) == (18, (128, 64))
    first, last = (np.median(frame, axis=(0, 1)) for frame in (clip.frames[0], clip.frames[-1]))
    assert first == pytest.approx(RED, abs=12)
    assert np.abs(last - RED).max() > 40


async def test_its_size_is_the_pictures_where_the_preset_follows_start_frames() -> None:
    backend = ScriptedBackend(frames=18)
    backend.defaults = Defaults(follows_start_frame=True)
    async with serving(backend) as worker:
        url = picture(size=(320, 192))
        answer = await ask(worker, image_url=url, width=None, height=None)
        assert answer.status_code == 200, answer.text
    settings = backend.sessions[0].settings
    assert (settings.width, settings.height) == (320, 192)
    assert settings.start_frame is not None and settings.start_frame.shape == (192, 320, 3)
    assert not settings.live


async def test_a_picture_that_takes_long_to_decode_is_decoded_apart(worker: Running) -> None:
    """As on a websocket: in a process of its own, of which the caller knows nothing."""
    answer = await ask(worker, image_url=data_url(jpeg_of_scans(40)))
    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("https://example.com/x.png", "not a host that this worker fetches from"),
        ("http://127.0.0.1:1/x.png", "not a host that this worker fetches from"),
        ("file:///etc/passwd", "only http, https and data URLs"),
        ("/etc/passwd", "only http, https and data URLs"),
        ("data:image/png,plain", "must be base64"),
        ("data:image/png;base64,", "empty"),
        (data_url(b"GIF89a"), "GIF"),
        (data_url(jpeg_of_size(30_000, 30_000)), "30000x30000"),
    ],
)
async def test_an_image_url_that_is_not_taken_says_why(worker: Running, url: str, why: str) -> None:
    answer = await ask(worker, image_url=url)
    assert answer.status_code == 422
    (error,) = answer.json()["detail"]
    assert error["loc"] == ["body", "image_url"] and why in error["msg"]


async def test_the_picture_is_asked_for(worker: Running) -> None:
    answer = await ask(worker)
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["body", "image_url"]
