"""Blends and written-out prompts, as the page offers them."""

import pytest
from playwright.async_api import Browser, expect
from support.pages.driver import driven
from support.pages.server import page_before
from support.servers.language_model import language_model, saying
from support.servers.stand_in import says_nothing
from support.servers.worker_server import serving

pytestmark = pytest.mark.browser

SMALL = {"width": 320, "height": 192, "fps": 16, "blocks": 1000}


async def test_the_share_of_a_second_prompt_shows_at_once(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a red circle on a black night", **SMALL)
        await page.start()
        await page.until_coloured((214, 36, 36))
        await page.fill("Blend with", "a blue square on a white day")
        await page.fill("Share", "1")
        await page.until_coloured((32, 72, 220))
        await page.fill("Share", "0")
        await page.until_coloured((214, 36, 36))


async def test_an_endpoint_that_cannot_blend_says_so(browser: Browser) -> None:
    why = {"prompts": "one prompt at a time"}
    async with page_before(says_nothing, unhonoured=why) as server, driven(browser) as page:
        await page.open(server.http)
        await expect(page.page.get_by_label("Blend with")).to_be_disabled()
        await expect(page.page.get_by_label("Share")).to_be_disabled()
        await expect(page.page.locator("#blend-note")).to_have_text("one prompt at a time")


async def test_a_prompt_is_written_out_and_can_be_had_back(browser: Browser) -> None:
    async with (
        language_model(saying("a fox, at dawn, in deep snow")) as model,
        serving(expansion_url=model.url, expansion_model="m") as worker,
        driven(browser) as page,
    ):
        await page.open(worker.http, prompt="a fox", **SMALL)
        await page.click("EXPAND")
        field = page.page.get_by_label("Prompt")
        await expect(field).to_have_value("a fox, at dawn, in deep snow")
        await page.until_message("It was: a fox")
        await page.click("UNDO")
        await expect(field).to_have_value("a fox")


async def test_a_worker_without_a_language_model_offers_none(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, **SMALL)
        await expect(page.button("EXPAND")).to_be_hidden()
