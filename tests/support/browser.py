"""A real Chromium for tests of web pages, and what to do where there is none."""

import os
import shutil
from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from support.required import absent

_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The path of the browser; without one the test is skipped, or fails where it is required."""
    found = os.environ.get("FRAMEWIRE_CHROMIUM") or next(
        filter(None, map(shutil.which, _NAMES)), ""
    )
    if os.access(found, os.X_OK):
        return found
    absent("browser", f"no Chromium {found}: install one, or set FRAMEWIRE_CHROMIUM to its path")


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser of the test's own: what it opens ends with the test."""
    path = chromium()
    async with async_playwright() as playwright:
        # As root there is no sandbox, and a container's /dev/shm is too small for pictures.
        options = ["--no-sandbox", "--disable-dev-shm-usage"]
        running = await playwright.chromium.launch(executable_path=path, args=options)
        try:
            yield running
        finally:
            await running.close()
