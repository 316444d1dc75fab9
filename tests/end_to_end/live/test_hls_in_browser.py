"""HLS as a real Chromium plays it: the number drawn into each frame is read from the playing video."""

import asyncio
import io
import itertools
from functools import cache
from pathlib import Path
from typing import Any

import av
import pytest
from PIL import Image
from playwright.async_api import Browser, Page
from support.live.numbered import HEIGHT, WIDTH, number_in, picture
from support.live.senders import web_server

from framewire.client import Frame, Recorder
from framewire.client.live_output import sink_for

FPS = 16
BLOCK = 12
_PAGE = (
    """
<video src="index.m3u8" autoplay muted onerror="setTimeout(() => load(), 100)"></video>
<script>
const video = document.querySelector("video"), seen = [];
video.addEventListener("emptied", () => (seen.length = 0));  // it is loaded anew, and begins anew
const canvas = new OffscreenCanvas(WIDTH, HEIGHT), drawing = canvas.getContext("2d");
function look() {
  const frame = new VideoFrame(video);  // which has a time of its own: the video may be on already
  drawing.drawImage(frame, 0, 0, WIDTH, HEIGHT);
  const {data} = drawing.getImageData(0, 0, WIDTH, HEIGHT);
  let number = 0;
  for (let bit = 0; bit < 10; bit++) {
    const x = SIDE * (bit % 6) + SIDE / 2, y = SIDE * Math.floor(bit / 6) + SIDE / 2;
    number |= (data[4 * (y * WIDTH + x)] > 128) << bit;
  }
  seen.push([frame.timestamp / 1e6, number]);
  frame.close();
  video.requestVideoFrameCallback(look);
}
video.requestVideoFrameCallback(look);
</script>
""".replace("WIDTH", str(WIDTH))
    .replace("HEIGHT", str(HEIGHT))
    .replace("SIDE", str(WIDTH // 6))
)


@cache
def jpeg(number: int) -> bytes:
    data = io.BytesIO()
    Image.fromarray(picture(number)).save(data, "JPEG")
    return data.getvalue()


def shown_at(playlist: Path) -> dict[int, int]:
    """The number of the frame at each tick of the clock, as the segments have it."""
    found = {}
    with av.open(str(playlist)) as container:
        first: Any = None
        for frame in container.decode(video=0):
            first = frame.time if first is None else first
            data = io.BytesIO()
            frame.to_image().save(data, "JPEG")
            found[round((frame.time - first) * FPS)] = number_in(data.getvalue())
    return found


async def seen_by(page: Page) -> list[tuple[float, int]]:
    """Seconds of the video, and the number that was on the screen then, each once: a browser tells of
    what stands still as well."""
    return [(at, number) for (at, number), _ in itertools.groupby(await page.evaluate("seen"))]


@pytest.mark.browser
@pytest.mark.timeout(300)
async def test_each_frame_is_on_the_screen_in_its_turn(tmp_path: Path, browser: Browser) -> None:
    """A browser that looks before there is a list plays it while it grows, and to its end; a number
    is there twice only where the clock repeated it."""
    sink = sink_for(f"{tmp_path}/index.m3u8", fps=FPS, latency=10.0)
    (tmp_path / "index.html").write_text(_PAGE)
    page = await browser.new_page()
    with web_server(tmp_path) as port:
        await page.goto(f"http://127.0.0.1:{port}/")
        async with asyncio.timeout(90), Recorder([], live=[sink]) as recorder:
            for block in itertools.count():
                for number in range(block * BLOCK, (block + 1) * BLOCK):
                    await recorder.write(Frame(number, block, jpeg(number), 0.0))
                await asyncio.sleep(BLOCK / FPS)
                if len(seen := await seen_by(page)) > 2 * FPS:
                    break
        await page.wait_for_function("video.ended", polling=100, timeout=60_000)
        seen = await seen_by(page)
    truth = shown_at(tmp_path / "index.m3u8")
    numbers = [number for _, number in seen]
    assert numbers == sorted(numbers), "never back"
    times = [at for at, _ in seen]
    assert times == sorted(set(times)), "and no frame of the video twice"
    ticks = [round(at * FPS) - round(times[0] * FPS) for at in times]
    joined = [tick for tick, number in truth.items() if number == numbers[0]]  # or its repeats
    assert numbers in ([truth.get(first + tick) for tick in ticks] for first in joined)
    print(f"{len(seen)} of {len(truth) - joined[0]} frames seen, {sink.repeated} repeated")
