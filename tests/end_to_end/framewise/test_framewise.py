"""Blocks of one latent frame: one picture, then four a block, wherever frames are counted.

The model is random, two steps a block and four for the first: frames are told apart by their bytes.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import Browser
from support.pages.driver import driven
from support.recordings import KINDS, frames_of
from support.servers.worker_server import Running, serving
from support.video_files_made import seen, video
from support.viewers.raw_viewer import connected

from framewire.client import connect
from framewire.client.address import parse_address
from framewire.client.check import Probe, Timing, run_rules
from framewire.client.credentials import Credentials
from framewire.client.timeline.formats.reading import load_timeline
from framewire.worker.backends.base import Backend
from framewire.worker.backends.presets import servable_presets
from framewire.worker.models.setup import ModelSetup

PARAMS: dict[str, Any] = {"prompt": "a fox", "seed": 3, "width": 64, "height": 64}


@pytest.fixture(scope="module")
def backend() -> Backend:
    pytest.importorskip("diffusers")
    return servable_presets()["tiny-framewise"].make(ModelSetup(threads=1, warm_sizes="64x64"))


@pytest.fixture
async def worker(backend: Backend) -> AsyncIterator[Running]:
    async with serving(backend, codec_threads=1) as running:
        yield running


async def frames(worker: Running, blocks: int, **params: Any) -> list[bytes]:
    async with connected(worker.url) as viewer:
        await viewer.say(**PARAMS, **params, num_blocks=blocks)
        return (await viewer.stream()).frames


@pytest.mark.parametrize("blocks", [1, 2, 30])
async def test_a_stream_has_one_picture_and_four_for_each_later_block(
    worker: Running, blocks: int
) -> None:
    """Also past its window of 20 latent frames; the worker says so, of each block and of all."""
    async with connected(worker.url + "?events=1&fmt=msgpack") as viewer:
        await viewer.say(**PARAMS, num_blocks=blocks)
        received = await viewer.stream()
    (started,) = received.of("started")
    assert (started["first_block_frames"], started["block_frames"]) == (1, 4)
    assert [block["frames"] for block in received.of("block")] == [1] + [4] * (blocks - 1)
    assert [frame["index"] for frame in received.maps] == list(range(1 + 4 * (blocks - 1)))


async def test_the_first_block_takes_four_steps_where_later_ones_take_fewer(
    worker: Running,
) -> None:
    """So its picture is that of a stream of four steps throughout; what follows is not."""
    usual = await frames(worker, 3)
    four = await frames(worker, 3, num_denoising_steps=4)
    one = await frames(worker, 3, num_denoising_steps=1)
    assert usual == await frames(worker, 3, num_denoising_steps=2)
    assert usual[0] == four[0] == one[0]
    for later in zip(usual[1:], four[1:], one[1:], strict=True):
        assert len(set(later)) == 3


async def test_steps_that_are_named_are_those_of_every_block(worker: Running) -> None:
    usual, named = [
        await frames(worker, 1, **more) for more in ({}, {"denoising_steps": [1000, 500]})
    ]
    assert len(usual) == len(named) == 1 and usual != named


async def test_a_reset_begins_with_a_first_block_again(worker: Running) -> None:
    once = await frames(worker, 2)
    async with connected(worker.url) as viewer:
        await viewer.say(**PARAMS, num_blocks=2)
        before = (await viewer.stream()).frames
        await viewer.say(action="reset")
        after = (await viewer.stream()).frames
    assert before == after == once


async def test_the_suite_finds_nothing_wrong_with_its_counts(worker: Running) -> None:
    probe = Probe(
        parse_address(worker.url), Credentials(), None, size=(64, 64), timing=Timing(quiet=0.1)
    )
    found = [finding async for finding in run_rules(probe)]
    assert [f"{one.rule.number} {one.reason}" for one in found if one.outcome == "FAIL"] == []
    outcomes = {one.rule.number: one.outcome for one in found}
    assert {outcomes[number] for number in ("5.3", "5.6", "6.3", "6.7", "6.11")} == {"ok"}


@pytest.mark.parametrize("count", [1, 2, 27])
async def test_the_command_gives_a_clip_back_with_its_length(
    worker: Running, tmp_path: Path, count: int
) -> None:
    """Of one picture too, which is a first block, and of a clip that ends within a block."""
    grey = [(8 * number + 20,) * 3 for number in range(count)]
    (tmp_path / "clip.mp4").write_bytes(video(grey, fps=24, size=(128, 64)))
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "framewire.client.cli", "stream", "a fox", "--url", worker.url,
        "--input", "clip.mp4", "--size", "64x64", "--out", "out.mp4", "--json",
        cwd=tmp_path, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, _ = await asyncio.wait_for(process.communicate(), 60)
    assert process.returncode == 0
    assert json.loads(out)["frames"] == count
    result = seen((tmp_path / "out.mp4").read_bytes())
    assert (len(result.frames), result.fps) == (count, 24)


@pytest.mark.browser
@pytest.mark.parametrize("container", KINDS)
async def test_the_page_records_every_frame_and_keeps_the_session(
    worker: Running, browser: Browser, container: str, tmp_path: Path
) -> None:
    """Steered on the way; what was kept makes the same frames again."""
    jpegs: list[bytes] = []
    async with driven(browser) as page:
        page.page.on(
            "websocket",
            lambda socket: socket.on(
                "framereceived",
                lambda data: jpegs.append(data) if isinstance(data, bytes) else None,
            ),
        )
        await page.open(
            worker.http, prompt="a fox", blocks=12, endless=1, seed=3, fps=10, width=64, height=64
        )
        await page.page.locator("#container").select_option(container)
        await page.start()
        await page.page.locator("#prompt").fill("snow")
        await page.page.keyboard.press("Enter")
        await page.until("() => document.querySelectorAll('#strip li').length === 2")
        await page.page.locator("#endless").uncheck()
        await page.until_state("completed")
        assert await page.number("frames") == len(jpegs) >= 1 + 4 * 11
        assert len(jpegs) % 4 == 1
        saved = []
        for button in ("Download", "Keep"):
            async with page.page.expect_download() as download:
                await page.click(button)
            saved.append((await (await download.value).path()).read_bytes())
        at = await page.page.locator("#strip .at").all_inner_texts()
    assert len(frames_of(saved[0])) == len(jpegs)
    kept = tmp_path / "session.json"
    kept.write_bytes(saved[1])
    timeline = load_timeline(kept)
    (steer,) = (one for one in timeline.pieces[0].steers if "prompt" in one)
    assert at == ["frame 0", f"frame {1 + 4 * (steer['at_block'] - 1)}"]
    async with connect(worker.url) as session:
        again = [frame.jpeg async for frame in session.play(timeline)]
    assert len(again) == len(jpegs)
    assert all(jpeg in data for jpeg, data in zip(again, jpegs, strict=True))
