"""From the address to a directed stream: what a user does with the page, on a real worker."""

import asyncio

import pytest
from playwright.async_api import Browser, expect
from support.pages.driver import driven
from support.servers.worker_server import serving

pytestmark = pytest.mark.browser

RED, BLUE = (214, 36, 36), (32, 72, 220)
SMALL = {"width": 320, "height": 192, "fps": 16}


async def test_a_prompt_is_steered_stopped_reset_and_begun_again(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, **SMALL)
        await page.fill("Prompt", "a red circle on a black night")
        await page.fill("Blocks", 1000)
        await page.start()
        await page.until_coloured(RED)
        assert await page.shows("size") == "320\u00d7192"

        await page.fill("Prompt", "a blue square on a white day")
        await page.page.keyboard.press("Enter")
        await page.until_coloured(BLUE)
        assert await page.page.locator("#strip li").count() == 2

        before = await page.number("frames")
        await page.click("Reset")
        await page.until("() => document.querySelectorAll('#strip li').length === 3")
        assert await page.state() == "streaming"
        assert await page.number("frames") >= before

        await page.click("Stop")
        assert await page.state() == "stopped"
        await expect(page.button("Start")).to_be_enabled()
        await page.fill("Prompt", "a red triangle on a green forest")
        await page.start()
        await page.until_coloured(RED)
        assert page.from_elsewhere(worker.http) == []


async def test_ctrl_enter_begins_and_edits_go_out_by_themselves(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, blocks=1000, **SMALL)
        await page.fill("Prompt", "a red circle at night")
        await page.page.keyboard.press("Control+Enter")
        await page.until_coloured(RED)
        await page.fill("Prompt", "a blue circle at night")
        await page.until_coloured(BLUE)


async def test_completed_ends_it_and_offers_to_continue_or_begin_anew(browser: Browser) -> None:
    """A prompt that comes late starts nothing by itself."""
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a red circle", blocks=2, width=320, height=192, seed=7)
        await page.click("Start")
        await page.until_state("completed")
        await page.until("() => document.querySelector('#frames').innerText.startsWith('18 ')")
        async with asyncio.timeout(60):
            while worker.inside.metrics.connections._value.get():  # noqa: ASYNC110
                await asyncio.sleep(0.01)
        await page.fill("Prompt", "a blue square")
        await page.page.get_by_label("Prompt").press("Enter")
        assert await page.state() == "completed"
        assert len([url for url in page.requests if "/ws" in url]) == 1

        await page.click("CONTINUE")
        await page.until_state("completed")
        await page.until("() => document.querySelector('#frames').innerText.startsWith('36 ')")
        stills = page.page.locator("#strip img")
        await expect(stills).to_have_count(2)
        await expect(stills.nth(1)).to_have_js_property("naturalWidth", 320)

        await page.click("AGAIN")
        await page.until_state("completed")
        await page.until("() => document.querySelector('#frames').innerText.startsWith('18 ')")
        assert await page.shows("seed-used") == "7"


@pytest.mark.parametrize("again", ["AGAIN", "CONTINUE"])
async def test_what_was_begun_anew_with_is_known_to_the_prompts_field(
    again: str, browser: Browser
) -> None:
    """Else the prompt of the stream before would count as sent already, and not be sent."""
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a red circle at night", blocks=1, **SMALL)
        await page.click("Start")
        await page.until_state("completed")
        await page.fill("Prompt", "a blue circle at night")
        await page.fill("Blocks", 1000)
        await page.click(again)
        await page.until_coloured(BLUE)
        await page.fill("Prompt", "a red circle at night")
        await page.page.get_by_label("Prompt").press("Enter")
        await page.until_coloured(RED)


async def test_again_draws_another_seed_where_each_start_does(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a red circle", blocks=1, seed=7, **SMALL)
        await page.page.get_by_label("another at each start").check()
        await page.click("Start")
        await page.until_state("completed")
        first = await page.shows("seed-used")
        await page.click("AGAIN")
        await page.until(
            "(first) => document.querySelector('#seed-used').innerText !== first", first
        )


async def test_an_address_reproduces_the_settings_and_never_holds_a_token(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http)
        await page.fill("Prompt", "a red & blue thing #1")
        await page.fill("Width", 333)
        await page.fill("Seed", 99)
        await page.fill("Blocks", 12)
        assert await page.shows("size-note") == "makes 336\u00d7480"
        await page.until("() => location.hash.includes('blocks=12')")
        shared = page.page.url
        async with driven(browser) as other:
            await other.page.goto(f"{shared}&token=secret")
            await other.page.wait_for_selector("body[data-ready]")
            for label, value in (
                ("Prompt", "a red & blue thing #1"), ("Width", "333"), ("Seed", "99"), ("Blocks", "12"),
            ):  # fmt: skip
                await expect(other.page.get_by_label(label)).to_have_value(value)
            assert "secret" not in other.page.url


async def test_the_view_is_paused_and_stills_are_shown_again(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a red circle at night", blocks=1000, **SMALL)
        await page.start()
        await page.click("Pause the view")
        held = await page.output.evaluate("canvas => canvas.toDataURL()")
        received = await page.number("frames")
        await page.until(
            "(least) => parseInt(document.querySelector('#frames').innerText) > least",
            received + 24,
        )
        assert await page.output.evaluate("canvas => canvas.toDataURL()") == held
        await page.click("Pause the view")
        await page.until("(held) => document.querySelector('canvas').toDataURL() !== held", held)

        await page.page.locator("#strip button").first.click()
        await expect(page.page.locator("#still-note")).to_have_text("frame 0")
        async with page.page.expect_download() as download:
            await page.click("Still")
        path = await (await download.value).path()
        assert path.read_bytes()[:2] == b"\xff\xd8"
        await page.click("BACK TO LIVE")
        await expect(page.page.locator("#still-note")).to_be_hidden()


async def test_keys_act_but_not_while_one_writes(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, blocks=1000, **SMALL)
        await page.page.keyboard.press("?")
        await expect(page.page.get_by_role("dialog")).to_contain_text("pause the view")
        await page.page.keyboard.press("Escape")
        await page.fill("Prompt", "x")
        await page.page.keyboard.type("s")
        assert await page.state() == "idle"
        await page.page.get_by_label("Prompt").blur()
        await page.page.keyboard.press("s")
        await page.until_state("streaming")
        await page.page.keyboard.press("x")
        await page.until_state("stopped")


async def test_a_reset_without_a_prompt_is_refused_and_the_view_goes_on(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a red circle at night", blocks=1000, **SMALL)
        await page.start()
        await page.page.evaluate("document.getElementById('prompt').value = ''")
        await page.page.locator("#prompt").dispatch_event("input")
        await page.click("Reset")
        await page.until_message("There is no prompt")
        played = await page.number("frames")
        await page.fill("Prompt", "a blue square on a white day")
        await page.page.keyboard.press("Enter")
        await page.until_coloured(BLUE)
        assert await page.number("frames") > played


async def test_until_stopped_can_be_said_and_taken_back_while_it_runs(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="a red circle at night", blocks=12, **SMALL)
        await page.start()
        await page.page.locator("#endless").check()
        await page.page.locator("#endless").uncheck()
        await page.until_state("completed")
        assert await page.number("frames") > 100


async def test_another_address_in_the_same_tab_is_read_and_shows_no_token(browser: Browser) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, **SMALL)
        await page.page.evaluate("location.hash = '#prompt=a%20blue%20square&token=a.b.c'")
        await page.until("() => document.getElementById('prompt')?.value === 'a blue square'")
        assert "token" not in page.page.url
