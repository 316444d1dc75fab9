"""fal's JavaScript client on a page in Chromium: of the worker's origin, and of a listed one."""

from contextlib import ExitStack

import pytest
from playwright.async_api import Browser, Page
from support.fal_js import fal_js_for_a_page
from support.pages.empty_page import empty_page
from support.servers.worker_server import serving


async def page_with_the_client(browser: Browser, url: str) -> Page:
    page = await browser.new_page()
    await page.goto(url)
    await page.add_script_tag(content=await fal_js_for_a_page("on_page.mjs"))
    return page


@pytest.mark.browser
@pytest.mark.parametrize("place", ["the worker's own", "listed"])
async def test_a_page_runs_streams_and_is_told_errors_with_the_proxy_alone(
    browser: Browser, place: str
) -> None:
    """Uploads too: what is given as a Blob is sent to the worker's storage first."""
    with ExitStack() as pages:
        elsewhere = pages.enter_context(empty_page()) if place == "listed" else ""
        async with serving(origins=elsewhere) as worker:
            url = f"{elsewhere}/?worker={worker.http}" if elsewhere else f"{worker.http}/health"
            page = await page_with_the_client(browser, url)
            assert await page.evaluate("realtime()") == [*range(6), "completed", "ready"]
            made = await page.evaluate("run()")
            assert made["seed"] == 7 and made["size"] > 1000
            refused = await page.evaluate("refused()")
            assert refused["name"] == "ValidationError" and refused["status"] == 422
            assert "64" in refused["words"]
            queued = await page.evaluate("subscribed()")
            assert queued == {"seed": 7, "unreadable": ["ValidationError", 422]}
            await page.close()
