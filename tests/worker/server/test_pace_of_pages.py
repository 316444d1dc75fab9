"""Web pages, told by the Origin of their upgrade, cannot push back: a real worker paces them.

Counted in frames and blocks: a busy machine makes both sides slower.
"""

import asyncio
from typing import Any

import msgpack
import pytest
from support.servers.worker_server import Running, serving
from support.viewers.raw_viewer import SMALL, RawViewer, connected

from framewire.worker.backends import choose
from framewire.worker.backends.base import Backend

PAGE = "http://localhost:3000"
FPS = 16
FIRST_BLOCK, BLOCK = 6, 12


class Page:
    """Draws 16 frames a second and keeps the others, as a browser does."""

    def __init__(self, viewer: RawViewer) -> None:
        self._viewer = viewer
        self._first_at = 0.0
        self.drawn = 0

    async def draw(self) -> dict[str, Any]:
        """What the next frame says of itself, drawn when it is due."""
        now = asyncio.get_running_loop().time
        if self.drawn:
            await asyncio.sleep(self._first_at + self.drawn / FPS - now())
        data = await self._viewer.next()
        self._first_at = self._first_at or now()
        self.drawn += 1
        assert isinstance(data, bytes), data
        found: dict[str, Any] = msgpack.unpackb(data)
        return found

    def undrawn(self, worker: Running) -> int:
        """Frames that were made and not drawn yet, wherever they wait."""
        blocks = int(worker.inside.metrics.blocks._value.get())
        return max(0, FIRST_BLOCK + BLOCK * (blocks - 1)) - self.drawn


@pytest.mark.parametrize("backend", ["testcard", "tiny"])
async def test_a_page_sees_a_new_prompt_within_two_blocks_and_has_no_more_than_two_undrawn(
    backend: str,
) -> None:
    made: Backend = choose(backend)[0]
    async with (
        serving(made) as worker,
        connected(worker.url + "?fmt=msgpack", origin=PAGE) as viewer,
    ):
        await viewer.say(prompt="a black night", num_blocks=1000, **SMALL)
        page, most, version = Page(viewer), 0, 1
        for prompt in ("a red fire", "a blue sea"):
            for _ in range(2 * BLOCK):
                shown = await page.draw()
                most = max(most, page.undrawn(worker))
            assert shown["prompt_version"] == version
            await viewer.say(prompt=prompt, interp_steps=1)
            version += 1
            for _ in range(2 * BLOCK):
                shown = await page.draw()
                most = max(most, page.undrawn(worker))
            assert shown["prompt_version"] == version
    assert most <= 2 * BLOCK


async def blocks_made_unread(url: str, worker: Running, **options: Any) -> int:
    """Blocks that are made for a viewer who reads one frame, while a script gets fifty."""
    params = options.pop("params", {})
    async with connected(url, **options) as viewer, connected(worker.url) as script:
        await viewer.say(prompt="a", num_blocks=1000, **SMALL, **params)
        await viewer.frame()
        before = worker.inside.metrics.blocks._value.get()
        await script.say(prompt="b", num_blocks=50, **SMALL)
        await script.stream()
        return int(worker.inside.metrics.blocks._value.get() - before) - 50


@pytest.mark.parametrize(
    "options",
    [{}, {"origin": PAGE, "params": {"fps": 0}}, {"origin": PAGE, "params": {"events": True}}],
    ids=["a script", "a page that wants no pace", "a page that wants events"],
)
async def test_who_can_push_back_or_says_what_it_wants_is_not_paced(
    options: dict[str, Any],
) -> None:
    async with serving() as worker:
        assert await blocks_made_unread(worker.url, worker, **options) > 15


@pytest.mark.parametrize(("pace", "is_paced"), [("off", False), ("0.5", True)])
async def test_the_operator_sets_the_pace_of_pages(pace: str, is_paced: bool) -> None:
    async with serving(pace=pace) as worker:
        made = await blocks_made_unread(worker.url, worker, origin=PAGE)
    assert (made <= 15) == is_paced, f"{made} blocks"
