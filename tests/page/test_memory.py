"""A flood of frames: few bitmaps are open at a time, and memory does not grow with what came."""

import io
import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser
from support.pages.driver import driven
from support.pages.server import page_before
from support.servers.stand_in import Peer

from framewire.protocol import Completed, Frame, Ready

pytestmark = pytest.mark.browser

FRAMES, SIZE = 9600, (320, 192)
COUNT_BITMAPS = """
  window.bitmaps = { open: 0, most: 0, made: 0 };
  const make = window.createImageBitmap;
  const close = ImageBitmap.prototype.close;
  window.createImageBitmap = async (...args) => {
    const bitmap = await make(...args);
    bitmaps.open += 1;
    bitmaps.made += 1;
    bitmaps.most = Math.max(bitmaps.most, bitmaps.open);
    return bitmap;
  };
  ImageBitmap.prototype.close = function () {
    bitmaps.open -= 1;
    close.call(this);
  };
"""


def jpeg() -> bytes:
    """About as many bytes for its pixels as a real frame has."""
    noise = os.urandom(SIZE[0] * SIZE[1] * 3 // 64)
    small = Image.frombytes("RGB", (SIZE[0] // 8, SIZE[1] // 8), noise)
    file = io.BytesIO()
    small.resize(SIZE, Image.Resampling.BICUBIC).save(file, "JPEG", quality=90)
    return file.getvalue()


def renderer_bytes() -> int:
    """Resident memory of this process's largest renderer."""
    ours, sizes = {os.getpid()}, []
    for path in sorted(Path("/proc").glob("[0-9]*"), key=lambda path: int(path.name)):
        try:
            fields = (path / "stat").read_text().rpartition(")")[2].split()
            if int(fields[1]) not in ours:
                continue
            ours.add(int(path.name))
            if b"--type=renderer" in (path / "cmdline").read_bytes():
                pages = int((path / "statm").read_text().split()[1])
                sizes.append(pages * os.sysconf("SC_PAGE_SIZE"))
        except OSError:
            continue
    return max(sizes)


@pytest.mark.timeout(240)
async def test_a_flood_is_shown_with_few_bitmaps_and_flat_memory(browser: Browser) -> None:
    picture = jpeg()

    async def floods(peer: Peer) -> None:
        await peer.say(Ready())
        while True:
            await peer.hear()
            for _ in range(FRAMES):
                await peer.say(Frame(picture))
            await peer.say(Completed(session_id="s"))

    async with (
        page_before(floods, hosted=True) as server,
        driven(browser, scripts=(COUNT_BITMAPS,)) as page,
    ):
        await page.open(server.http)
        before = renderer_bytes()
        await page.click("Start")
        await page.until_state("completed")
        assert await page.number("frames") == FRAMES
        grown = renderer_bytes() - before
        counted = await page.page.evaluate("window.bitmaps")
    assert 0 < counted["most"] <= 64
    assert grown < 200e6
