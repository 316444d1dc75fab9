"""What a worker lets a stream choose, as the page offers it: adapters, and ways to a new prompt."""

from typing import Any

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


async def test_what_the_operator_allows_can_be_chosen_and_is_asked_for(browser: Browser) -> None:
    """The usual one first; the choice stands in the address, as every setting does."""
    setup = ModelSetup(threads=1, warm_sizes="64x64", prompt_switches="blend,flush")
    backend: Any = servable_presets()["tiny-self-forcing"].make(setup)
    asked: list[str] = []
    opened = backend.open
    backend.open = lambda settings: (asked.append(settings.prompt_switch), opened(settings))[1]
    async with serving(backend) as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a fox", width=64, height=64, blocks=2)
        choice = page.page.get_by_label("at a change")
        await expect(choice).to_have_value("blend")
        assert await choice.locator("option").count() == 2
        await choice.select_option("flush")
        await page.until("() => location.hash.includes('promptSwitch=flush')")
        await page.start()
        await page.until_state("completed")
        assert asked == ["flush"]


async def test_a_worker_with_one_way_offers_no_choice(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http)
        await expect(page.page.locator("#switch-choice")).to_be_hidden()
