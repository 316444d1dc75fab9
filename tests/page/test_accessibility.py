"""Who cannot see well, or use a mouse, can use the page: axe-core finds nothing serious."""

import os
from pathlib import Path

import pytest
from playwright.async_api import Browser
from support.pages.driver import Driver, driven
from support.servers.worker_server import serving

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

AXE = Path(__file__).parent / "node_modules" / "axe-core" / "axe.min.js"
WIDTHS = {"desktop": (1440, 900), "tablet": (820, 1180), "phone": (390, 844)}
STREAM = {"prompt": "a red circle at night", "width": 320, "height": 192, "fps": 16, "blocks": 1000}


@pytest.fixture(autouse=True)
def axe_is_installed() -> None:
    if AXE.is_file():
        return
    message = "no axe-core: npm ci --prefix tests/page"
    if "browser" in os.environ.get("FRAMEWIRE_REQUIRE", "").split(","):
        pytest.fail(message)
    pytest.skip(message)


async def serious_findings(page: Driver) -> list[str]:
    """What hinders somebody badly, and where."""
    if not await page.page.evaluate("'axe' in window"):
        # The page's policy lets no script in but its own; the debugger is not bound by it.
        await page.page.evaluate(AXE.read_text(encoding="utf-8"))
    found = await page.page.evaluate("axe.run()")
    return [
        f"{finding['id']}: {node['target']} {node['failureSummary']}"
        for finding in found["violations"]
        if finding["impact"] in ("serious", "critical")
        for node in finding["nodes"]
    ]


@pytest.mark.parametrize("name", WIDTHS)
async def test_nothing_serious_is_found(browser: Browser, name: str) -> None:
    width, height = WIDTHS[name]
    viewport = {"width": width, "height": height}
    async with (
        serving() as worker,
        driven(browser, viewport=viewport, reduced_motion="reduce") as page,
    ):
        await page.open(worker.http, **STREAM)
        assert await serious_findings(page) == []
        assert await page.page.evaluate("document.body.scrollWidth <= innerWidth")
        await page.start()
        assert await serious_findings(page) == []
        await page.click("Stop")
        await page.fill("Prompt", "")
        await page.click("Start")
        await page.until_message("There is no prompt")
        for mode in ("Image", "Canvas", "Camera", "Video"):
            await page.mode(mode)
            assert await serious_findings(page) == []
        await page.click("Keyboard shortcuts")
        assert await serious_findings(page) == []


async def test_all_of_it_is_reached_by_the_tab_key_and_shows_where_one_is(browser: Browser) -> None:
    ids = {"start", "random", "prompt", "width", "height", "blocks", "seed", "pause", "download"}
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, **STREAM)
        reached = set()
        for _ in range(80):
            await page.page.keyboard.press("Tab")
            found = await page.page.evaluate(
                "[document.activeElement.id, getComputedStyle(document.activeElement).outlineStyle]"
            )
            if found[0] in ids:
                assert found[1] != "none", found
            reached.add(found[0])
    assert ids <= reached


async def test_nothing_moves_for_those_who_asked_for_that(browser: Browser) -> None:
    async with serving() as worker, driven(browser, reduced_motion="reduce") as page:
        await page.open(worker.http, **STREAM)
        await page.start()
        assert await page.page.evaluate("document.getAnimations().length") == 0
