"""How many pictures are on their way: no more than two blocks', however slow the worker."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

import msgpack
import pytest
from playwright.async_api import Browser, WebSocket
from support.pages.driver import Driver, driven
from support.pages.server import page_before
from support.servers.stand_in import Peer
from support.servers.worker_server import lane_held, serving

from framewire.protocol import Ready

pytestmark = pytest.mark.browser

BLOCK = 12
CANVAS = {"mode": "canvas", "rate": 30, "blocks": 1000, "width": 320, "height": 192}

THIRTY_PICTURES = """
() => new Promise((done) => {
  const camera = document.querySelector("video");
  let left = 30;
  const look = () => ((left -= 1) ? camera.requestVideoFrameCallback(look) : done());
  camera.requestVideoFrameCallback(look);
})
"""
"""Waits for so many of the camera's."""


@dataclass
class Traffic:
    """The pictures that a tab sends and the frames that it gets.

    Attributes:
        unanswered: pictures on their way after each that was sent.
    """

    sent: list[str] = field(default_factory=list)
    frames: int = 0
    answered: int = 0
    unanswered: list[int] = field(default_factory=list)

    def watch(self, page: Driver) -> None:
        page.page.on("websocket", self._opened)

    def _opened(self, socket: WebSocket) -> None:
        socket.on("framesent", self._sent)
        socket.on("framereceived", self._received)

    def _sent(self, data: bytes | str) -> None:
        said = msgpack.unpackb(data) if isinstance(data, bytes) else {}
        if "image" in said:
            self.sent.append(said["request_id"])
            self.unanswered.append(len(self.sent) - self.answered)

    def _received(self, data: Any) -> None:
        if not isinstance(data, bytes):
            return
        self.frames += 1
        if data[:2] == b"\xff\xd8":
            self.answered += 1
        elif (name := msgpack.unpackb(data)["request_id"]) in self.sent:
            self.answered = self.sent.index(name) + 1


async def test_a_slow_worker_is_sent_two_blocks_of_pictures_at_most(
    capturing_browser: Browser,
) -> None:
    """From the camera, into a worker that takes none while it has made some thirty more."""
    traffic = Traffic()
    async with serving() as worker, driven(capturing_browser) as page:
        traffic.watch(page)
        await page.open(worker.http, **(CANVAS | {"mode": "camera"}))
        await page.start()
        async with lane_held(worker.inside):
            async with asyncio.timeout(60):
                while traffic.unanswered[-1] <= BLOCK:  # noqa: ASYNC110
                    await asyncio.sleep(0.02)
            await page.page.evaluate(THIRTY_PICTURES)
        await page.until("() => parseInt(document.querySelector('#frames').innerText) >= 30")
    assert traffic.frames >= 30
    assert max(traffic.unanswered) <= 2 * BLOCK
    assert max(traffic.unanswered) > BLOCK  # the bound was reached, not the end of the test


async def test_a_server_that_names_no_pictures_is_counted_by_its_frames(browser: Browser) -> None:
    async def one_frame_for_each(peer: Peer) -> None:
        """Answers a picture only when it has got as many as may be on their way."""
        await peer.say(Ready())
        await peer.hear()
        held = 0
        for index in range(10**6):
            while held < 2 * BLOCK:
                steer = await peer.hear()
                assert steer.image and steer.prompt and steer.strength is not None
                held += 1
            await peer.say_frames(1, start=index)
            held -= 1

    traffic = Traffic()
    async with page_before(one_frame_for_each, hosted=True) as server, driven(browser) as page:
        traffic.watch(page)
        await page.open(server.http, **CANVAS)
        await page.start()
        await page.until("() => parseInt(document.querySelector('#frames').innerText) >= 12")
    assert max(traffic.unanswered) <= 2 * BLOCK
