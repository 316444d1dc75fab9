"""A tab in the background: nothing piles up, nothing is lost to the file, and it comes back at once."""

import asyncio
from pathlib import Path

import av
import pytest
from playwright.async_api import Browser
from support.pages.driver import driven
from support.pages.server import page_before
from support.servers.stand_in import Peer, picture

from framewire.protocol import Frame, Ready

pytestmark = pytest.mark.browser

MINUTE = 80  # blocks: a minute at 16 frames a second
THROTTLE = """
  (() => {
    let hidden = false;
    const waiting = [];
    const [frame, later] = [window.requestAnimationFrame, window.setTimeout];
    window.requestAnimationFrame = (call) => (hidden ? waiting.push(call) : frame(call));
    window.setTimeout = (call, ms, ...args) => later(call, hidden ? Math.max(ms, 1000) : ms, ...args);
    for (const [name, value] of [["hidden", () => hidden],
                                 ["visibilityState", () => (hidden ? "hidden" : "visible")]]) {
      Object.defineProperty(document, name, { get: value });
    }
    window.setHidden = (value) => {
      hidden = value;
      document.dispatchEvent(new Event("visibilitychange"));
      if (!hidden) waiting.splice(0).forEach((call) => frame(call));
    };
  })();
"""


async def test_a_minute_in_the_background_ends_at_the_newest_block(
    browser: Browser, tmp_path: Path
) -> None:
    go_on = asyncio.Event()

    async def streams_on(peer: Peer) -> None:
        peer.wire.envelope = True
        await peer.say(Ready())
        await peer.hear()
        for block in range(MINUTE):
            if block == 1:
                await go_on.wait()
            for index in range(12 * block, 12 * block + 12):
                await peer.say(Frame(picture(block), index=index, block=block, prompt_version=1))
        await peer.until_closed()

    async with (
        page_before(streams_on) as server,
        driven(browser, scripts=(THROTTLE,)) as page,
    ):
        await page.open(server.http)
        await page.start()
        await page.page.evaluate("setHidden(true)")
        shown_before = await page.colour()
        go_on.set()
        frames = 12 * MINUTE
        await page.until(
            "(frames) => parseInt(document.querySelector('#frames').innerText) === frames", frames
        )
        assert await page.colour() == shown_before
        played = await page.page.evaluate(
            "async () => { const played = () => "
            "Number(document.querySelector('#frames').innerText.match(/(\\d+) played/)[1]);"
            "const before = played(); setHidden(false); return before; }"
        )
        newest = [(MINUTE - 1) * step % 256 for step in (37, 91, 53)]
        await page.until_coloured((newest[0], newest[1], newest[2]), share=0.9, within=6)
        await page.until("() => document.querySelector('#lag').innerText.includes('· 0 frames')")
        shown_after = await page.page.evaluate(
            "Number(document.querySelector('#frames').innerText.match(/(\\d+) played/)[1])"
        )
        assert shown_after - played <= 12  # of the newest block alone

        async with page.page.expect_download() as downloading:
            await page.click("Download")
        await (await downloading.value).save_as(tmp_path / "all.mp4")
    with av.open(str(tmp_path / "all.mp4")) as file:
        assert sum(1 for _ in file.decode(video=0)) == frames
