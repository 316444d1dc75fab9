"""The README's picture of the page is taken by a test.

It is made anew with `FRAMEWIRE_SCREENSHOT=tests/page/page.jpg pytest tests/page/test_screenshot.py`.
"""

import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser
from support.pages.driver import driven
from support.servers.worker_server import command

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

COMMITTED = Path(__file__).with_name("page.jpg")
README = Path(__file__).parents[2] / "README.md"

PROMPTS = (
    "a yellow star bouncing over the sea",
    "a red circle moving right over a night sky",
    "a cyan ring circling over a sunset",
)
LATER = """
() => {
  const frames = parseInt(document.querySelector("#frames").innerText);
  window.since ??= frames;
  if (frames < window.since + 48) return false;
  delete window.since;
  return true;
}
"""
"""Two seconds' frames more than when this was first asked."""


async def test_a_steered_stream_of_tiny_is_what_the_readme_shows(
    browser: Browser, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    taken = Path(os.environ.get("FRAMEWIRE_SCREENSHOT") or tmp_path / "page.jpg")
    async with command("--backend", "tiny") as worker, driven(browser) as page:
        await page.open(worker.http, prompt=PROMPTS[0], seed=3, fps=24, interp=2, blocks=1000)
        await page.start()
        for prompt in PROMPTS[1:]:
            await page.until(LATER)
            await page.fill("Prompt", prompt)
            await page.page.get_by_label("Prompt").press("Enter")
            await page.until(LATER)
        await page.page.get_by_label("Prompt").blur()
        await page.until("() => document.querySelector('#change').innerText.includes('model')")
        await page.page.screenshot(path=taken, type="jpeg", quality=70)
    check(taken)


def test_the_picture_that_is_committed_is_the_readme_s() -> None:
    check(COMMITTED)
    assert f"({COMMITTED.relative_to(README.parent)})" in README.read_text(encoding="utf-8")


def check(path: Path) -> None:
    """A picture of the page at a desktop's size, and small."""
    with Image.open(path) as picture:
        assert picture.size == (1440, 900)
    assert path.stat().st_size < 200_000
