"""A Chromium whose camera is a made-up one."""

from collections.abc import AsyncIterator

import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from support.browser import chromium

_CAPTURE = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest_asyncio.fixture
async def capturing_browser() -> AsyncIterator[Browser]:
    """Cameras and screens are there, and are allowed when they are asked for."""
    path = chromium()
    async with async_playwright() as playwright:
        running = await playwright.chromium.launch(
            executable_path=path, args=["--no-sandbox", "--disable-dev-shm-usage", *_CAPTURE]
        )
        try:
            yield running
        finally:
            await running.close()
