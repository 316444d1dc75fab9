"""A real Chromium for tests of web pages, and what to do where there is none."""

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from support.required import absent

_PATIENCE = 100_000.0
"""Milliseconds for what takes a second or two on an idle machine."""
_NAMES = ("chromium", "chromium-browser", "google-chrome")


def chromium() -> str:
    """The path of the browser; without one the test is skipped, or fails where it is required."""
    found = os.environ.get("FRAMEWIRE_CHROMIUM") or next(
        filter(None, map(shutil.which, _NAMES)), ""
    )
    if os.access(found, os.X_OK):
        return found
    absent("browser", f"no Chromium {found}: install one, or set FRAMEWIRE_CHROMIUM to its path")


@asynccontextmanager
async def launched(*options: str) -> AsyncIterator[Browser]:
    """One that ends with the block."""
    path = chromium()
    async with async_playwright() as playwright:
        # As root there is no sandbox, and a container's /dev/shm is too small for pictures.
        running = await playwright.chromium.launch(
            executable_path=path,
            args=["--no-sandbox", "--disable-dev-shm-usage", *options],
            timeout=_PATIENCE,
        )
        try:
            yield running
        finally:
            await running.close()


def in_one_loop(items: list[pytest.Item], folder: Path) -> None:
    """Have the tests of each file there run in the loop that a browser of the file is bound to."""
    for item in items:
        if folder in item.path.parents and pytest_asyncio.is_async_test(item):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest_asyncio.fixture(name="browser", loop_scope="module", scope="module")
async def browser_of_a_file() -> AsyncIterator[Browser]:
    """Starting one takes as long as many a test, and a tab is a context of its own."""
    async with launched() as running:
        yield running


@pytest_asyncio.fixture
async def browser() -> AsyncIterator[Browser]:
    """A browser of the test's own: what it opens ends with the test."""
    async with launched() as running:
        yield running
