"""Frames that come in bursts, on the canvas: in their order, none left out, and not far behind.

When each is to be shown is proven on a made-up clock (`tests/worker/page/test_pacing.py`); here a
real page keeps to it while it records all of them.
"""

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from PIL import Image
from playwright.async_api import Browser
from support.pages.driver import driven
from support.pages.server import page_before
from support.recordings import frames_of
from support.servers.page_files import BITS, number_in, numbered
from support.servers.stand_in import Peer

from framewire.protocol import Completed, Frame, Ready

pytestmark = pytest.mark.browser

SIZE = (280, 160)
BLOCKS, SECONDS = 6, 1.1
FRAMES = 12 * BLOCKS - 6
WATCH = """
  globalThis.came = [];
  globalThis.drawn = []; // number, when, and how many had come
  const Real = globalThis.WebSocket;
  globalThis.WebSocket = class extends Real {
    constructor(...given) {
      super(...given);
      this.addEventListener("message", ({ data }) => {
        if (typeof data !== "string") came.push(performance.now());
      });
    }
  };
  const copy = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...given) {
    draw.apply(this, given);
    if (this.canvas !== document.querySelector("canvas")) return; // another than the output
    const { width, height } = this.canvas;
    copy.canvas.width = width;
    copy.canvas.height = height;
    copy.drawImage(this.canvas, 0, 0);
    const { data } = copy.getImageData(0, 0, width, height);
    let number = 0;
    for (let bit = 0; bit < BITS; bit += 1) {
      const columns = BITS / 2;
      const x = Math.floor(((bit % columns) + 0.5) * width / columns);
      const y = Math.floor((Math.floor(bit / columns) + 0.5) * height / 2);
      if (data[4 * (y * width + x) + 1] > 150) number |= 1 << bit;
    }
    drawn.push([number, performance.now(), came.length]);
  };
""".replace("BITS", str(BITS))


async def bursts(peer: Peer) -> None:
    """A block at a time, as a model makes them."""
    await peer.say(Ready())
    await peer.hear()
    number = 0
    for block in range(BLOCKS):
        if block:
            await asyncio.sleep(SECONDS)
        for _ in range(12 if block else 6):
            await peer.say(Frame(numbered(number, *SIZE)))
            number += 1
    await peer.say(Completed(session_id="s"))
    await peer.until_closed()


async def test_bursts_are_drawn_one_by_one_in_order_while_all_is_recorded(browser: Browser) -> None:
    async with (
        page_before(bursts, hosted=True) as server,
        driven(browser, scripts=(WATCH,)) as page,
    ):
        await page.open(server.http, prompt="a", width=SIZE[0], height=SIZE[1])
        await page.click("Start")
        await page.until("(count) => drawn.length === count", FRAMES)
        drawn: list[Any] = await page.page.evaluate("drawn")
        came: list[float] = await page.page.evaluate("came")
        async with page.page.expect_download() as download:
            await page.click("Download")
        path = await (await download.value).path()
        data = path.read_bytes()
    assert [number for number, _, _ in drawn] == list(range(FRAMES)), "in order, none left out"
    assert max(known - number for number, _, known in drawn) <= 24 + 12
    file = frames_of(data)
    pictures = [Image.fromarray(frame.to_ndarray(format="rgb24")) for frame in file]
    assert [number_in(picture) for picture in pictures] == list(range(FRAMES))
    gaps = sorted(later[1] - before[1] for before, later in pairwise(drawn))
    lags = [when - came[number] for number, when, _ in drawn]
    print(f"gaps: p95 {gaps[int(0.95 * len(gaps))]:.0f} ms, most {gaps[-1]:.0f} ms")
    print(f"lag: most {max(lags):.0f} ms")
