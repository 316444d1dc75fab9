"""A Chromium for each file of tests, also one whose camera is a made-up one."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser
from support.browser import browser_of_a_file, in_one_loop, launched

__all__ = ["browser_of_a_file"]

_CAPTURE = (
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    in_one_loop(items, Path(__file__).parent)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def capturing_browser() -> AsyncIterator[Browser]:
    """Cameras and screens are there, and are allowed when they are asked for."""
    async with launched(*_CAPTURE) as running:
        yield running
