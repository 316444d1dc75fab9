"""Timelines on the page: played, edited, saved, and a session that is kept and made again."""

import hashlib
import json
from pathlib import Path

import msgpack
import pytest
from PIL import Image
from playwright.async_api import Browser, expect
from support.pages.driver import Driver, driven
from support.pages.server import page_before
from support.servers.stand_in import Peer
from support.servers.worker_server import serving

from framewire.client import connect
from framewire.client.timeline.formats.reading import load_timeline
from framewire.protocol import Params, Ready

pytestmark = pytest.mark.browser

RED, BLUE = "a red circle at night", "a blue square on a white day"
SMALL = {"width": 320, "height": 192, "seed": 7}


def received(page: Driver) -> list[bytes]:
    """The pictures that the page gets from now on."""
    jpegs: list[bytes] = []

    def keep(data: bytes | str) -> None:
        if isinstance(data, bytes):
            jpegs.append(msgpack.unpackb(data)["image"])

    page.page.on("websocket", lambda socket: socket.on("framereceived", keep))
    return jpegs


async def saved(page: Driver, button: str, path: Path) -> Path:
    async with page.page.expect_download() as downloading:
        await page.click(button)
    await (await downloading.value).save_as(path)
    return path


def timeline(*texts: str, seconds: float = 1.0) -> bytes:
    entries = [
        {
            "startTime": seconds * at,
            "endTime": seconds * (at + 1),
            "prompts": [{"text": text, "weight": 100}],
            "transitionSteps": 0,
        }
        for at, text in enumerate(texts)
    ]
    settings = {"resolution": {"width": 320, "height": 192}, "seed": 11}
    return json.dumps({"version": "2.1", "prompts": entries, "settings": settings}).encode()


async def load(page: Driver, data: bytes, name: str = "timeline.json") -> None:
    file = {"name": name, "mimeType": "application/json", "buffer": data}
    await page.page.get_by_label("Import a timeline").set_input_files(file)


async def test_a_steered_session_is_kept_and_replays_to_the_byte(
    browser: Browser, tmp_path: Path
) -> None:
    async with serving() as worker, driven(browser) as page:
        jpegs = received(page)
        await page.open(worker.http, prompt=RED, blocks=12, endless=1, fps=24, **SMALL)
        await page.start()
        await page.fill("Prompt", "un café bleu, \u65e5\u672c 🙂")
        await page.page.keyboard.press("Enter")
        await page.until("() => document.querySelectorAll('#strip li').length === 2")
        await page.page.get_by_label("Blend with").fill(BLUE)
        await page.page.get_by_label("Share").fill("0.5")
        await page.until("() => document.querySelectorAll('#strip li').length === 3")
        await page.page.locator("#endless").uncheck()
        await page.until_state("completed")
        kept = load_timeline(await saved(page, "Keep", tmp_path / "session.json"))
        assert len(kept.pieces) == 1 and not kept.not_honoured
        assert any("prompts" in steer for steer in kept.pieces[0].steers)
        async with connect(worker.url) as session:
            again = [frame.jpeg async for frame in session.play(kept)]
    assert len(jpegs) >= 12 * 12 - 6
    assert again == jpegs


async def test_a_kept_session_names_the_picture_that_it_began_with(
    browser: Browser, tmp_path: Path
) -> None:
    """By its digest: the picture itself is not in the file."""
    png = tmp_path / "magenta.png"
    Image.new("RGB", (64, 64), "magenta").save(png)
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, mode="image", blocks=2, prompt=RED, **SMALL)
        await page.page.get_by_label("Picture").set_input_files(png)
        await expect(page.page.locator("#input-picture img")).to_be_visible()
        await page.start()
        await page.until_state("completed")
        kept = load_timeline(await saved(page, "Keep", tmp_path / "session.json"))
    assert kept.pieces[0].start_frame == hashlib.sha256(png.read_bytes()).hexdigest()


async def test_a_timeline_is_played_each_part_from_its_block_on(browser: Browser) -> None:
    """Of sixteen frames each: the second one begins in the block with frame 16, the third with 32."""
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http)
        await page.page.get_by_text("timeline no parts yet").click()
        await load(page, timeline(RED, BLUE, RED))
        await expect(page.page.locator("#timeline-total")).to_have_text("3 parts, 3.0 s")
        await expect(page.page.get_by_label("Seed")).to_have_value("11")
        await page.click("Start")
        await page.until_state("completed")
        at = await page.page.locator("#strip .at").all_inner_texts()
        words = await page.page.locator("#strip .words").all_inner_texts()
        assert list(zip(at, words, strict=True)) == [
            ("frame 0", RED), ("frame 6", BLUE), ("frame 30", RED)
        ]  # fmt: skip
        assert await page.number("frames") == 54
        await expect(page.page.get_by_label("Prompt")).to_have_value(RED)


async def test_without_at_frame_a_timeline_is_played_by_counting_frames(browser: Browser) -> None:
    heard: list[tuple[int, str]] = []

    async def hosted(peer: Peer) -> None:
        await peer.say(Ready())
        params = await peer.hear()
        assert isinstance(params, Params) and params.steers is None and params.prompt == RED
        for index in range(0, 32, 8):
            await peer.say_frames(8, start=index)
            if index == 16:
                heard.append((index, (await peer.hear()).prompt))
        await peer.socket.send('{"status":"completed"}')

    async with page_before(hosted, hosted=True) as server, driven(browser) as page:
        await page.open(server.http)
        await page.page.get_by_text("timeline no parts yet").click()
        await load(page, timeline(RED, BLUE))
        await page.click("Start")
        await page.until_state("completed")
    assert heard == [(16, BLUE)]


async def test_a_timeline_is_edited_and_saved(browser: Browser, tmp_path: Path) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http, prompt="the third", **SMALL)
        await page.page.get_by_text("timeline no parts yet").click()
        await load(page, timeline(RED, BLUE, seconds=2))
        await page.click("ADD")
        await page.fill("Seconds of part 3", "3.5")
        await page.page.get_by_label("Seconds of part 3").blur()
        await page.fill("Text of part 1", "the first")
        await page.page.get_by_label("Text of part 1").blur()
        await page.click("Move part 3 up")
        await page.click("Remove part 3")
        found = load_timeline(await saved(page, "EXPORT", tmp_path / "edited.json"))
    assert [(entry.start.at, entry.text) for entry in found.entries] == [
        (0, "the first"), (2, "the third"),
    ]  # fmt: skip
    assert found.end is not None and found.end.at == 5.5
    assert found.settings["seed"] == 11


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"{", "no JSON"),
        (b'{"version": "9"}', "version"),
        (timeline(RED, " "), "prompts[1]: has no prompt"),
        (timeline(RED, BLUE).replace(b'"startTime": 1.0', b'"startTime": 3.0'), "prompts[1]"),
    ],
)
async def test_a_file_that_is_none_is_told_of_by_its_place(
    browser: Browser, data: bytes, words: str
) -> None:
    async with serving() as worker, driven(browser) as page:
        await page.open(worker.http)
        await page.page.get_by_text("timeline no parts yet").click()
        await load(page, data, "bad.json")
        await page.until_message("bad.json")
        await page.until_message(words)
