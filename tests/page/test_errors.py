"""When it goes wrong: the page says in words what, and what to do, and START works again."""

import asyncio
import io
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import jwt
import pytest
from PIL import Image
from playwright.async_api import Browser, expect
from support.pages.driver import driven
from support.pages.server import page_before
from support.servers.ports import free_port
from support.servers.stand_in import Peer
from support.servers.worker_server import Running, command, serving
from support.viewers.raw_viewer import connected

from framewire.protocol import Ready

pytestmark = pytest.mark.browser

SECRET, KEY = "a secret of more than thirty-two bytes", "key-id:key-secret"
JWT = {"auth": "jwt", "secret": SECRET, "key": KEY}
SMALL = {"width": 320, "height": 192, "fps": 16}


def token(secret: str = SECRET) -> str:
    now = int(time.time())
    return jwt.encode({"allowed_apps": ["krea-wan-14b"], "iat": now, "exp": now + 60}, secret)


@asynccontextmanager
async def taken_place(worker: Running) -> AsyncIterator[None]:
    """Another viewer streams, without end."""
    async with connected(worker.url) as other:
        await other.say(prompt="a", num_blocks=10**6, fps=50, width=64, height=64)
        await other.frame()
        yield


async def test_a_token_in_the_address_opens_and_stays_out_of_it(browser: Browser) -> None:
    async with serving(**JWT) as worker, driven(browser) as page:
        await page.open(worker.http, token=token(), **SMALL)
        assert "token" not in page.page.url
        await page.start()
        assert await page.page.evaluate("Object.keys(localStorage).length") == 0


async def test_a_wrong_token_asks_for_the_key_and_a_wrong_key_is_told(browser: Browser) -> None:
    async with serving(**JWT) as worker, driven(browser, quiet=False) as page:
        await page.open(worker.http, token=token("another secret of thirty-two bytes"), **SMALL)
        await page.click("Start")
        dialog = page.page.get_by_role("dialog")
        await expect(dialog).to_contain_text("asks for its key")
        key = page.page.get_by_role("textbox", name="Key")
        await key.fill("wrong:key")
        await page.click("USE IT")
        await expect(dialog).to_contain_text("Not accepted")
        await page.click("CANCEL")
        await page.until_message("no key was given")
        assert await page.state() == "failed"

        await page.click("Start")
        await key.fill(KEY)
        await page.click("USE IT")
        await page.until_state("streaming")
        stored = await page.page.evaluate(
            "JSON.stringify([sessionStorage, localStorage, location.href])"
        )
        assert "key-secret" not in stored


async def test_a_full_worker_is_tried_again_until_it_has_a_place(browser: Browser) -> None:
    async with serving(max_sessions=1, queue=0) as worker, driven(browser) as page:
        async with taken_place(worker):
            await page.open(worker.http, blocks=1000, **SMALL)
            await page.click("Start")
            await page.until_state("retrying")
            await page.until_message("The worker is full")
            await expect(page.page.locator("#line")).to_contain_text("again in")
        await page.until_state("streaming")
        await expect(page.page.get_by_role("alert")).to_be_hidden()


async def test_the_place_in_the_line_is_shown(browser: Browser) -> None:
    async with serving(max_sessions=1, queue=4) as worker, driven(browser) as page:
        async with taken_place(worker):
            await page.open(worker.http, blocks=1000, **SMALL)
            await page.click("Start")
            await page.until_state("waiting")
            await expect(page.page.locator("#line")).to_have_text("place 1")
            await page.until_message("place 1 in the line")
        await page.until_state("streaming")


async def test_a_killed_worker_is_told_of_and_the_stream_goes_on_with_the_next(
    browser: Browser,
) -> None:
    """With the settings, and the newest prompt."""
    port = str(free_port())
    async with driven(browser, quiet=False) as page:
        async with command("--port", port) as worker:
            await page.open(worker.http, prompt="a red circle at night", blocks=1000, **SMALL)
            await page.start()
            worker.process.kill()
            await page.until_state("reconnecting")
            await page.until_message("The stream was lost")
            await page.fill("Prompt", "a blue circle at night")
        async with command("--port", port):
            await page.until_state("streaming")
            await page.until_coloured((32, 72, 220))
            assert await page.shows("size") == "320\u00d7192"


async def test_a_worker_that_is_gone_for_good_is_told_of_and_begun_with_again(
    browser: Browser,
) -> None:
    port = str(free_port())
    async with driven(browser, quiet=False) as page:
        async with command("--port", port) as worker:
            await page.open(worker.http, **SMALL)
        await page.click("Start")
        await page.until_state("failed")
        await page.until_message("framewire-worker serve")
        async with command("--port", port):
            await page.start()
            await expect(page.page.get_by_role("alert")).to_be_hidden()


async def test_refused_params_keep_the_server_s_reason_until_the_next_action(
    browser: Browser,
) -> None:
    """A worker reads no animated PNG, which every browser does."""
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, mode="image", **SMALL)
        await page.page.get_by_label("Picture").set_input_files(
            {"name": "a.png", "mimeType": "image/png", "buffer": file.getvalue()}
        )
        await page.click("Start")
        await page.until_message("The worker refuses these settings")
        await page.until_message("animated")
        assert await page.state() == "failed"
        await page.fill("Seed", 5)
        await page.until_message("animated")
        await page.mode("Text")
        await page.start()
        await expect(page.page.get_by_role("alert")).to_be_hidden()


async def test_a_stream_without_frames_is_given_up_after_a_while(browser: Browser) -> None:
    async def falls_silent(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(6)
        await peer.until_closed()

    async with page_before(falls_silent, frame_seconds=1.0) as server, driven(browser) as page:
        await page.open(server.http)
        await page.click("Start")
        await page.until_message("No frame came in time")
        assert await page.number("frames") == 6
        assert await page.state() == "failed"
        await expect(page.button("Start")).to_be_enabled()


async def test_a_server_that_never_says_that_it_is_ready_is_given_up(browser: Browser) -> None:
    async def is_mute(peer: Peer) -> None:
        await peer.until_closed()

    async with page_before(is_mute, ready_seconds=1.0) as server, driven(browser) as page:
        await page.open(server.http)
        await page.click("Start")
        await page.until_message("does not say that it is ready")
        await page.until_message("nothing for 1 seconds")
        assert await page.state() == "failed"
        await expect(page.button("Start")).to_be_enabled()


async def test_a_stream_that_is_not_ready_again_is_tried_once_more(browser: Browser) -> None:
    """Its worker hangs after a restart; the next answer is a good one."""

    async def hangs_once(peer: Peer) -> None:
        if len(server.behind.peers) == 2:
            await peer.until_closed()
            return
        await peer.say(Ready())
        await peer.hear()
        await peer.say_frames(6)
        if len(server.behind.peers) == 1:
            await peer.until_sent()
            peer.socket.transport.abort()
            return
        await peer.until_closed()

    async with (
        page_before(hangs_once, ready_seconds=4.0) as server,
        driven(browser, quiet=False) as page,
    ):
        await page.open(server.http)
        await page.start()
        await page.until("() => document.querySelector('#frames').innerText.startsWith('12 ')")
        assert len(server.behind.peers) == 3


async def test_a_warning_before_the_first_frame_stays_when_it_comes(browser: Browser) -> None:
    """What is said of the connection goes when that is over, but not the worker's own words."""

    async def warns(peer: Peer) -> None:
        await peer.say(Ready())
        await peer.hear()
        await peer.socket.send('{"type":"warning","reason":"the picture was too large"}')
        await peer.say_frames(6)
        await peer.until_closed()

    async with page_before(warns) as server, driven(browser) as page:
        await page.open(server.http)
        await page.start()
        await page.until_state("streaming")
        await page.until_message("the picture was too large")
        await page.click("Stop")
        await expect(page.page.get_by_role("alert")).to_be_hidden()


async def test_a_server_without_events_that_sends_more_than_was_asked_for(browser: Browser) -> None:
    """Texts that nobody knows are passed over."""

    async def generous(peer: Peer) -> None:
        await peer.say(Ready())
        params = await peer.hear()
        assert params.webcam_mode is None
        await peer.socket.send('{"type":"news","words":[1]}')
        await peer.socket.send("no JSON")
        await peer.say_frames(12 * params.num_blocks + 60)
        await asyncio.sleep(0)
        await peer.socket.send('{"status":"completed"}')

    async with page_before(generous, hosted=True) as server, driven(browser) as page:
        await page.open(server.http, blocks=2)
        await page.click("Start")
        await page.until_state("completed")
        assert await page.number("frames") == 84
        assert server.behind.peers[0].request.path == "/ws?fal_jwt_token=a-token"
