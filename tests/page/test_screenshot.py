"""The README's picture of the page is one of this page.

It is made anew with `FRAMEWIRE_SCREENSHOT=tests/page/page.jpg pytest tests/page/test_screenshot.py`.
"""

import os
from pathlib import Path

import pytest
from PIL import Image
from playwright.async_api import Browser
from support.pages.driver import driven
from support.servers.worker_server import command

pytestmark = pytest.mark.browser

COMMITTED = Path(__file__).with_name("page.jpg")
README = Path(__file__).parents[2] / "README.md"


async def test_a_steered_stream_of_tiny_is_what_the_readme_shows(
    browser: Browser, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    taken = Path(os.environ.get("FRAMEWIRE_SCREENSHOT") or tmp_path / "page.jpg")
    async with command("--backend", "tiny") as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a yellow star bouncing over the sea", seed=3, fps=16)
        await page.fill("Blocks", 1000)
        await page.start()
        for entries, prompt in enumerate(
            ("a red circle moving right over a night sky", "a cyan ring circling over a sunset"), 2
        ):
            await page.fill("Prompt", prompt)
            await page.page.get_by_label("Prompt").press("Enter")
            await page.until(
                "(count) => document.querySelectorAll('#strip li').length === count", entries
            )
        await page.page.get_by_label("Prompt").blur()
        await page.until("() => document.querySelector('#change').innerText.includes('model')")
        await page.page.screenshot(path=taken, type="jpeg", quality=70)
    for path in (taken, COMMITTED):
        with Image.open(path) as picture:
            assert picture.size == (1440, 900)
    assert taken.stat().st_size < 200_000 and COMMITTED.stat().st_size < 200_000
    assert f"({COMMITTED.relative_to(README.parent)})" in README.read_text(encoding="utf-8")
