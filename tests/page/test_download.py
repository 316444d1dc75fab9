"""What the page downloads: each binary message that came is one frame of the file, in its order."""

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import av
import msgpack
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from playwright.async_api import Browser
from support.engines.held import HeldBefore
from support.pages.driver import PATIENCE, Driver, driven
from support.recordings import KINDS, frames_of
from support.servers.gateway import gateway
from support.servers.hosted_server import FAL_KEY, serving_fal
from support.servers.worker_server import Running, serving

from framewire.worker.backends.base import Backend
from framewire.worker.config import Config
from framewire.worker.server.page_address import page_address

pytestmark = pytest.mark.browser

SMALL = {"width": 320, "height": 192}


@dataclass
class Received:
    """The binary messages of all sockets of a page, what it sent, and where these led."""

    jpegs: list[bytes] = field(default_factory=list)
    sent: list[str | bytes] = field(default_factory=list)
    urls: list[str] = field(default_factory=list)

    def watch(self, page: Driver) -> None:
        page.page.on("websocket", self._opened)

    def _opened(self, socket: Any) -> None:
        self.urls.append(socket.url)
        socket.on("framereceived", self._came)
        socket.on("framesent", lambda message: self.sent.append(message))

    def _came(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            is_jpeg = message.startswith(b"\xff\xd8")
            self.jpegs.append(message if is_jpeg else msgpack.unpackb(message)["image"])


@asynccontextmanager
async def page_of(where: str, backend: Backend | None = None) -> AsyncIterator[tuple[str, Running]]:
    """The address of the page, at a worker or in front of a stand-in for fal that serves one; and
    that worker."""
    async with serving(backend) as worker:
        if where == "worker":
            yield worker.http, worker
            return
        async with gateway(worker.url) as fal:
            tokens = f"http://{urlsplit(fal.token_url).netloc}"
            socket_origin = f"ws://{fal.netloc}"
            async with serving_fal(tokens, socket_origin=socket_origin) as hosted:
                yield hosted.http, worker


async def downloaded(page: Driver) -> tuple[str, bytes]:
    async with page.page.expect_download() as download:
        await page.click("Download")
    done = await download.value
    path = await done.path()
    return done.suggested_filename, path.read_bytes()


def small(picture: Image.Image) -> NDArray[np.float32]:
    return np.asarray(picture.convert("RGB").resize((80, 48)), np.float32)


@pytest.mark.parametrize("container", KINDS)
@pytest.mark.parametrize("where", ["worker", "fal"])
async def test_the_file_has_every_message_as_a_frame_in_its_order(
    where: str, container: str, browser: Browser
) -> None:
    """Steered on the way, and through `--fal`, where frames are bare JPEGs without events.

    What is made waits for the change: to a stream that is complete it would begin another one.
    """
    received, held = Received(), HeldBefore(2)
    async with page_of(where, held) as (url, worker), driven(browser) as page:
        received.watch(page)
        await page.open(url, prompt="a red circle moving right", blocks=6, seed=3, **SMALL)
        await page.page.locator("#container").select_option(container)
        await page.start()
        await page.fill("Prompt", "a blue square moving down")
        heard = worker.bytes_heard
        await page.page.keyboard.press("Enter")
        async with asyncio.timeout(PATIENCE / 1000):
            while worker.bytes_heard == heard:  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        held.gate.open()
        await page.until_state("completed")
        name, data = await downloaded(page)
        numbers = await page.number("frames")
    assert held.steered.is_set()
    assert len(received.jpegs) == numbers == 66
    assert name.endswith(f"66-frames.{container}")
    frames = [small(Image.fromarray(frame.to_ndarray(format="rgb24"))) for frame in frames_of(data)]
    sent = [small(Image.open(io.BytesIO(jpeg))) for jpeg in received.jpegs]
    assert len(frames) == 66
    for index, frame in enumerate(frames):
        nearest = min(range(66), key=lambda other: float(np.abs(frame - sent[other]).mean()))
        assert nearest == index
        assert float(np.abs(frame - sent[index]).mean()) < 12
    with av.open(io.BytesIO(data), "r") as file:
        assert file.duration == pytest.approx(66 / 16 * av.time_base, abs=2000)
        file.seek(2 * av.time_base)
        assert 0 < float(next(file.decode(video=0)).time or 0) <= 2


async def test_in_front_of_fal_the_browser_connects_there_with_a_token_and_never_sees_the_key(
    browser: Browser,
) -> None:
    received, bodies = Received(), []
    async with page_of("fal") as (url, _), driven(browser) as page:
        received.watch(page)

        async def keep(answer: Any) -> None:
            if answer.url.startswith(url):
                bodies.append(await answer.text())

        page.page.on("response", keep)
        await page.open(url, prompt="a red circle", blocks=2, **SMALL)
        await page.start()
        await page.until_state("completed")
        facts = await page.page.evaluate("fetch('/page.json').then((answer) => answer.json())")
        elsewhere = page.from_elsewhere(url)
    (socket,) = received.urls
    assert elsewhere == [socket]
    assert socket.startswith(f"{facts['socket']}?fal_jwt_token=")
    assert urlsplit(socket).path == "/fal-ai/krea-wan-14b/ws"
    assert facts["hosted"] is True and len(received.jpegs) == 18
    assert bodies and not any(FAL_KEY in body or "the-key-secret" in body for body in bodies)


async def test_where_others_can_connect_the_printed_address_streams_from_fal(
    browser: Browser,
) -> None:
    """Its token is this server's own; each stream gets one of fal's for it."""
    key = "the-key-of-this-server"
    async with serving() as worker, gateway(worker.url) as fal, driven(browser) as page:
        tokens = f"http://{urlsplit(fal.token_url).netloc}"
        behind = {"socket_origin": f"ws://{fal.netloc}", "host": "0.0.0.0", "auth": "jwt"}
        async with serving_fal(tokens, **behind, key=key) as hosted:
            config = Config(fal="a/b", fal_key="c", host="0.0.0.0", auth="jwt", key=key)
            address = page_address(config, hosted.app.state.gate, hosted.port)
            await page.page.goto(address)
            await page.page.wait_for_selector("body[data-ready]")
            await page.fill("Prompt", "a red circle")
            await page.fill("Blocks", 10)
            await page.start()
            assert len(fal.minted) == 1 and fal.used == fal.minted
            assert "token" not in page.page.url
            await page.page.goto("about:blank")  # or it would look for the server that ends now


async def test_a_download_in_mid_stream_ends_nothing(browser: Browser) -> None:
    received = Received()
    async with page_of("worker") as (url, _), driven(browser) as page:
        received.watch(page)
        await page.open(url, prompt="a red circle", blocks=6, **SMALL)
        await page.start()
        _, early = await downloaded(page)
        await page.until_state("completed")
        _, late = await downloaded(page)
    assert 0 < len(frames_of(early)) <= len(frames_of(late)) == 66
