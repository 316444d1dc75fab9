"""fal's JavaScript client on a page of the worker's origin, in Chromium."""

from playwright.async_api import Browser, Page
from support.fal_js import fal_js_for_a_page
from support.servers.worker_server import Running, serving


async def page_of(worker: Running, browser: Browser) -> Page:
    """A page at the worker's own address that holds nothing but the client."""
    page = await browser.new_page()
    await page.goto(f"{worker.http}/health")
    await page.add_script_tag(content=await fal_js_for_a_page("on_page.mjs"))
    return page


async def test_a_page_runs_streams_and_is_told_errors_with_the_proxy_alone(
    browser: Browser,
) -> None:
    async with serving() as worker:
        page = await page_of(worker, browser)
        assert await page.evaluate("realtime()") == [*range(6), "completed", "ready"]
        made = await page.evaluate("run()")
        assert made["seed"] == 7 and made["size"] > 1000
        refused = await page.evaluate("refused()")
        assert refused["name"] == "ValidationError" and refused["status"] == 422
        assert "64" in refused["words"]
        await page.close()
