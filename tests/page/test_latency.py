"""How long a change takes, as the page tells it: on a server whose delays are known."""

import asyncio
import re
from typing import Any

import pytest
from playwright.async_api import Browser
from support.pages.driver import driven
from support.pages.server import page_before
from support.servers.stand_in import Peer, picture

from framewire.protocol import BlockDone, Frame, Params, Ready, Started, Steered

pytestmark = pytest.mark.browser

MODEL_MS, WAIT_S = 300.0, 0.6
MEASURE = """
  let began = null;
  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter") began ??= performance.now();
  }, true);
  const pixel = new OffscreenCanvas(1, 1).getContext("2d", { willReadFrequently: true });
  const draw = CanvasRenderingContext2D.prototype.drawImage;
  CanvasRenderingContext2D.prototype.drawImage = function (...given) {
    draw.apply(this, given);
    if (began === null || this.canvas !== document.querySelector("canvas")) return;
    pixel.drawImage(this.canvas, 0, 0, 1, 1);
    if (pixel.getImageData(0, 0, 1, 1).data[0] > 100) window.took ??= performance.now() - began;
  };
"""
"""Seconds until the output is bright, as it is drawn."""
BLACK, BRIGHT = picture(0), picture(4)  # red 0 and 148


async def answers_late(peer: Peer) -> None:
    """Black blocks; what a new prompt makes is bright, comes late, and took the model 300 ms."""
    peer.wire.envelope = True
    await peer.say(Ready())
    params = await peer.hear()
    assert isinstance(params, Params)
    version, block = 1, 0
    await peer.say(
        Started(session_id="s", seed=1, width=64, height=64, num_blocks=99, backend="stand-in")
    )
    while True:
        for index in range(12):
            frame: dict[str, Any] = {"index": 12 * block + index, "block": block}
            jpeg = BLACK if version == 1 else BRIGHT
            await peer.say(Frame(jpeg, prompt_version=version, **frame))
        await peer.say(
            BlockDone(block=block, index=12 * block, frames=12, prompt_version=version,
                      ms={"denoise": MODEL_MS - 20, "lane": MODEL_MS - 20, "jpeg": 20.0})
        )  # fmt: skip
        block += 1
        if version == 2:
            await peer.until_closed()
        await peer.hear()
        await asyncio.sleep(WAIT_S)  # the known delay
        version = 2
        await peer.say(Steered(block=block, prompt_version=2, applied=("prompt",)))


async def test_a_change_is_timed_from_enter_to_the_drawn_frame(browser: Browser) -> None:
    async with page_before(answers_late) as server, driven(browser, scripts=(MEASURE,)) as page:
        await page.open(server.http)
        await page.start()
        await page.fill("Prompt", "bright")
        await page.page.get_by_label("Prompt").press("Enter")
        await page.until("() => window.took !== undefined")
        await page.until("() => document.querySelector('#change').innerText.includes('transport')")
        took = await page.page.evaluate("window.took") / 1000
        said = await page.shows("change")
    total, model, transport = map(float, re.findall(r"[\d.]+", said))
    assert total >= WAIT_S
    assert total == pytest.approx(took, abs=0.2)
    assert model == pytest.approx(MODEL_MS / 1000, abs=0.005)
    assert transport == pytest.approx(total - model, abs=0.015)


async def test_without_events_only_the_whole_is_told(browser: Browser) -> None:
    """A hosted endpoint names neither prompts nor the model's time: the page makes up none."""

    async def silent(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(18)
        steer = await peer.hear()
        assert steer.prompt == "another" and steer.num_blocks == 20
        await peer.say_frames(12, start=18)
        await peer.until_closed()

    async with page_before(silent, hosted=True) as server, driven(browser) as page:
        await page.open(server.http)
        await page.start()
        await page.fill("Prompt", "another")
        await page.page.get_by_label("Prompt").press("Enter")
        await page.until("() => document.querySelectorAll('#strip li').length === 2")
        await page.until("() => / s$/.test(document.getElementById('change').textContent)")
        assert "model" not in await page.shows("change")
        assert await page.page.locator("#strip .at").nth(1).inner_text() == "frame 18"
