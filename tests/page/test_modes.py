"""Each mode once: what is fed in shows in what comes out."""

import io
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from playwright.async_api import Browser, expect
from support.pages.driver import Driver, driven
from support.servers.worker_server import serving

pytestmark = pytest.mark.browser

MAGENTA, LIME = (255, 0, 255), (0, 255, 0)
SMALL = {"width": 320, "height": 192}
COUNT_ASKED = """
  window.asked = 0;
  for (const name of ["getUserMedia", "getDisplayMedia"]) {
    const ask = navigator.mediaDevices[name].bind(navigator.mediaDevices);
    navigator.mediaDevices[name] = (...args) => { window.asked += 1; return ask(...args); };
  }
"""


def picture(colour: tuple[int, int, int]) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (400, 300), colour).save(file, "PNG")
    return file.getvalue()


def video(path: Path, colour: tuple[int, int, int]) -> Path:
    with av.open(str(path), "w") as file:
        stream = file.add_stream("libvpx-vp9", rate=10)
        stream.width, stream.height, stream.pix_fmt = 320, 192, "yuv420p"
        pixels = np.full((192, 320, 3), colour, np.uint8)
        for _ in range(20):
            file.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, "rgb24")))
        file.mux(stream.encode(None))
    return path


async def first_still(page: Driver) -> list[float]:
    """The mean colour of the first frame that came."""
    return await page.colour_of(page.page.locator("#strip img").first)


async def test_a_start_image_is_the_first_frame(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a white circle", fps=16, **SMALL)
        await page.mode("Image")
        await page.click("Start")
        await page.until_message("choose a picture first")
        await page.page.get_by_label("Picture").set_input_files(
            {"name": "start.png", "mimeType": "image/png", "buffer": picture(MAGENTA)}
        )
        await expect(page.page.locator("#input-picture img")).to_be_visible()
        await page.start()
        assert await first_still(page) == pytest.approx(MAGENTA, abs=30)


async def test_a_start_image_is_dropped_and_pasted(browser: Browser) -> None:
    events = {
        "drop": "document.querySelector('.drop').dispatchEvent("
        "new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }))",
        "paste": "document.dispatchEvent(new ClipboardEvent('paste', { clipboardData: data }))",
    }
    async with serving() as worker, driven(browser) as page:
        for name, dispatch in events.items():
            await page.open(worker.http, mode="image", **SMALL)
            await page.page.evaluate(
                "async () => {"
                "const canvas = new OffscreenCanvas(40, 30); canvas.getContext('2d');"
                "const blob = await canvas.convertToBlob({ type: 'image/png' });"
                "const data = new DataTransfer();"
                f"data.items.add(new File([blob], '{name}.png', {{ type: 'image/png' }}));"
                f"{dispatch}; }}"
            )
            await expect(page.page.locator("#source-controls")).to_contain_text(f"{name}.png")
            await page.page.goto("about:blank")


async def test_a_file_dropped_beside_its_place_is_taken_and_never_opened(browser: Browser) -> None:
    """The browser would leave the page for it, and the stream with it."""
    drop = """async (name) => {
      const canvas = new OffscreenCanvas(40, 30);
      canvas.getContext("2d");
      const data = new DataTransfer();
      const blob = await canvas.convertToBlob({ type: "image/png" });
      data.items.add(new File([blob], name, { type: "image/png" }));
      const event = (kind) => new DragEvent(kind, { dataTransfer: data, bubbles: true, cancelable: true });
      const beside = document.querySelector("header");
      return ["dragover", "drop"].map((kind) => beside.dispatchEvent(event(kind)));
    }"""
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, mode="image", **SMALL)
        assert await page.page.evaluate(drop, "beside.png") == [False, False], "left to the browser"
        await expect(page.page.locator("#source-controls")).to_contain_text("beside.png")
        await page.mode("Text")
        assert await page.page.evaluate(drop, "nowhere.png") == [False, False]
        await page.mode("Image")
        await expect(page.page.locator("#source-controls")).to_contain_text("beside.png")


HELD_QUESTION = """
  window.asked = 0;
  window.streams = [];
  const ask = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
  navigator.mediaDevices.getUserMedia = async (...args) => {
    window.asked += 1;
    await new Promise((answer) => (window.answer = answer));
    const stream = await ask(...args);
    window.streams.push(stream);
    return stream;
  };
"""


async def test_a_second_start_while_the_camera_is_asked_for_opens_nothing_more(
    capturing_browser: Browser,
) -> None:
    """One question, one camera, one stream."""
    async with (
        serving(max_sessions=4) as worker,
        driven(capturing_browser, scripts=(HELD_QUESTION,)) as page,
    ):
        await page.open(worker.http, mode="camera", blocks=1000, prompt="red", **SMALL)
        await page.click("Start")
        await page.click("Start")
        await page.page.keyboard.press("Control+Enter")
        await page.click("OPEN CAMERA")
        assert await page.page.evaluate("window.asked") == 1
        await page.page.evaluate("window.answer()")
        await page.until_state("streaming")
        assert await page.page.evaluate("window.asked") == 1
        assert worker.inside.metrics.connections._value.get() == 1
        assert len([url for url in page.requests if "/ws" in url]) == 1


async def test_a_camera_that_is_allowed_when_another_mode_was_chosen_is_given_back(
    capturing_browser: Browser,
) -> None:
    async with (
        serving() as worker,
        driven(capturing_browser, scripts=(HELD_QUESTION,)) as page,
    ):
        await page.open(worker.http, mode="camera", prompt="red", **SMALL)
        await page.click("Start")
        await page.mode("Text")
        await page.page.evaluate("window.answer()")
        await page.until("() => window.streams.length === 1 && !window.streams[0].active")
        await expect(page.page.get_by_role("alert")).to_be_hidden()
        assert await page.state() == "idle"


async def test_strokes_show_at_low_strength_and_can_be_undone(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a circle at night", blocks=1000, **SMALL)
        await page.mode("Canvas")
        strength = page.page.get_by_label("Strength")
        await expect(strength).to_be_enabled()
        await strength.fill("0.02")
        await page.page.get_by_label("Colour", exact=True).fill("#00ff00")
        await page.page.get_by_label("Brush").fill("160")
        box = await page.page.get_by_label("Drawing").bounding_box()
        assert box is not None
        y = box["y"] + box["height"] / 2
        await page.page.mouse.move(box["x"] + 20, y)
        await page.page.mouse.down()
        await page.page.mouse.move(box["x"] + box["width"] - 20, y, steps=4)
        await page.page.mouse.up()
        await page.start()
        await page.until_coloured(LIME, share=0.3, within=40)
        await page.click("UNDO")
        await page.until_coloured((18, 22, 28), share=0.6, within=30)


async def test_the_camera_is_asked_for_on_a_click_and_seen(capturing_browser: Browser) -> None:
    """Chromium's made-up camera is green; strength stays live."""
    async with (
        serving() as worker,
        driven(capturing_browser, scripts=(COUNT_ASKED,)) as page,
    ):
        await page.open(
            worker.http, mode="camera", strength=0.02, blocks=1000, prompt="red", **SMALL
        )
        assert await page.page.evaluate("window.asked") == 0
        await page.start()
        assert await page.page.evaluate("window.asked") == 1
        camera = page.page.get_by_label("camera", exact=True)
        seen = await camera.evaluate("video => video.videoWidth > 0 && !video.paused")
        assert seen
        red, green, _ = await page.colour()
        assert green > red
        await page.page.get_by_label("Strength").fill("1")
        await page.until_coloured((18, 18, 22), share=0.02, within=8)  # the card's own strips
        await page.click("Stop")
        await page.mode("Text")
        assert await camera.count() == 0


async def test_a_video_file_is_played_into_the_stream(browser: Browser, tmp_path: Path) -> None:
    clip = video(tmp_path / "clip.webm", MAGENTA)
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, mode="video", strength=0.02, blocks=1000, **SMALL)
        await page.page.get_by_label("Video file").set_input_files(clip)
        await expect(page.page.locator("#source-controls")).to_contain_text("clip.webm")
        await page.start()
        await page.until_coloured(MAGENTA, share=0.5, within=50)


async def test_a_screen_is_captured(capturing_browser: Browser) -> None:
    """Chromium's made-up screen is green, too."""
    async with (
        serving() as worker,
        driven(capturing_browser, scripts=(COUNT_ASKED,)) as page,
    ):
        await page.open(worker.http, mode="screen", strength=0.02, blocks=1000, **SMALL)
        assert await page.page.evaluate("window.asked") == 0
        await page.start()
        assert await page.page.evaluate("window.asked") == 1
        red, green, _ = await page.colour()
        assert green > 2 * red


async def test_what_has_no_camera_says_so_and_why(browser: Browser) -> None:
    """As on http:// at another machine's address, where browsers have none."""
    gone = "Object.defineProperty(navigator, 'mediaDevices', { value: undefined });"
    async with serving() as worker, driven(browser, scripts=(gone,)) as page:
        await page.open(worker.http, mode="camera", **SMALL)
        await expect(page.page.locator("#source-controls")).to_contain_text("localhost")
        await page.click("Start")
        await page.until_message("https and localhost only")
        assert await page.state() == "idle"
