"""Recordings that a real page makes with the page's own module, and what is in their files."""

import io
from collections.abc import Iterator
from typing import Any

import av
import pytest
from PIL import Image
from playwright.async_api import Browser, Page
from support.servers.page_files import PageFiles, page_files

FPS = 16
KINDS = ["mp4", "webm"]
_RECORD = """
async ({ container, fps, pictures }) => {
  const { Recording } = await import("/page/recording/recording.js");
  const fetched = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
  const jpegs = await Promise.all(pictures.map(fetched));
  const recording = new Recording({ container, fps });
  jpegs.forEach((jpeg, index) => recording.add(index % 2 ? jpeg : new Blob([jpeg])));
  const waiting = recording.waiting;
  const { blob, extension, frames, note } = await recording.file();
  await fetch("/file", { method: "PUT", body: blob });
  return { extension, frames, note, waiting, type: blob.type, added: recording.frames };
}
"""


@pytest.fixture
def files() -> Iterator[PageFiles]:
    """Where the page's modules and numbered pictures come from."""
    with page_files() as running:
        yield running


async def opened(browser: Browser, files: PageFiles, *scripts: str) -> Page:
    """An empty page on that server; `scripts` run in it before anything else."""
    page = await browser.new_page()
    for script in scripts:
        await page.add_init_script(script)
    await page.goto(files.url)
    return page


async def recorded(
    page: Page, files: PageFiles, sizes: list[tuple[int, int]], **how: Any
) -> tuple[dict[str, Any], bytes]:
    """What the page says of a recording of numbered pictures, all added at once, and the file."""
    pictures = [f"/{number}/{width}x{height}.jpg" for number, (width, height) in enumerate(sizes)]
    given = {"container": "mp4", "fps": FPS, "pictures": pictures} | how
    said = await page.evaluate(_RECORD, given)
    return said, files.sent["/file"]


def frames_of(data: bytes) -> list[av.VideoFrame]:
    """All frames of a file, as PyAV decodes them."""
    with av.open(io.BytesIO(data), "r") as container:
        return list(container.decode(video=0))


def image_of(frame: av.VideoFrame) -> Image.Image:
    """A frame as Pillow has it."""
    return Image.fromarray(frame.to_ndarray(format="rgb24"))
