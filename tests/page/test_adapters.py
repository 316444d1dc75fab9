"""The strengths of a worker's adapters, as the page offers them."""

import pytest
from playwright.async_api import Browser, expect
from support.pages.driver import driven
from support.servers.worker_server import serving

from framewire.worker.backends.presets import servable_presets
from framewire.worker.models.setup import ModelSetup

pytestmark = pytest.mark.browser


async def test_each_adapter_has_a_slider_that_acts_while_it_streams(browser: Browser) -> None:
    setup = ModelSetup(threads=1, lora=("gold=0", "stage=0.25"), lora_live=True)
    tiny = servable_presets()["tiny"].make(setup)
    async with serving(tiny) as worker, driven(browser) as page:
        await page.open(
            worker.http,
            prompt="a large red circle, still, over a black background",
            width=320, height=192, blocks=1000,
        )  # fmt: skip
        await expect(page.page.get_by_label("stage")).to_have_value("0.25")
        await page.start()
        await page.until_coloured((220, 35, 40), within=45)
        await page.fill("gold", "1")
        await page.until_coloured((245, 225, 50), within=45)


async def test_a_worker_without_adapters_offers_none(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http)
        await expect(page.page.locator("#adapters")).to_be_hidden()
