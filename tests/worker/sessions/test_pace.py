"""A paced stream: who is paced, when its blocks are begun, and what a viewer finds made already."""

import asyncio
from types import SimpleNamespace

import pytest
from support.engines.scripted_backend import ScriptedBackend
from support.viewers.memory_viewer import (
    PATIENCE,
    blocks_of,
    frames_in,
    frames_up_to,
    ready,
    running_worker,
)

from framewire.protocol import Params
from framewire.worker.sessions import outbox
from framewire.worker.sessions.pace import Pace, pace_for


@pytest.mark.parametrize(
    ("who", "fps"),
    [
        ({}, 16),
        ({"browser": False}, 0),
        ({"events": True}, 0),
        ({"fps": 0}, 0),
        ({"fps": 8}, 8),
        ({"fps": 8, "browser": False}, 8),
        ({"fps": 8, "events": True}, 8),
        ({"page_fps": 24.0}, 24),
        ({"page_fps": 0.0}, 0),
        ({"page_fps": 24.0, "fps": 30}, 30),
        ({"page_fps": 24.0, "browser": False}, 0),
    ],
)
def test_a_page_that_says_nothing_gets_the_operator_s_pace_and_whoever_says_something_that(
    who: dict[str, float | None], fps: float
) -> None:
    asked = {"browser": True, "events": False, "page_fps": None} | who
    params = Params(prompt="a", fps=asked.pop("fps", None))
    assert pace_for(params, preset_fps=16.0, **asked) == fps  # type: ignore[arg-type]


def paced(fps: float, *took: float, frames: int = 12) -> Pace:
    """At this pace, after blocks whose making took so many seconds."""
    pace = Pace()
    pace.fps = fps
    for seconds in took:
        pace.saw_block(frames, seconds)
    return pace


def test_without_a_pace_a_block_is_always_due() -> None:
    assert paced(0, 0.1).is_due(10_000, 2)


def test_until_it_is_known_how_long_a_block_is_they_are_made_one_by_one() -> None:
    """A model whose decoder lags behind has no frames of its first block."""
    pace = paced(16, 0.1, frames=0)
    assert pace.is_due(0, 0) and not pace.is_due(0, 1)


def test_a_block_is_begun_just_in_time_for_its_first_frame() -> None:
    pace = paced(16, 0.2)  # as long as 4 frames play, with what may come between 5
    assert not pace.is_due(12, 0) and not pace.is_due(6, 0)
    assert pace.is_due(5, 0)
    assert not pace.is_due(0, 1), "the one in the making is enough"


def test_a_block_is_begun_by_the_last_frame_of_the_one_before_at_whatever_pace() -> None:
    assert not paced(0.1, 0.01).is_due(2, 0)
    assert paced(0.1, 0.01).is_due(1, 0)


def test_one_block_that_took_long_brings_the_next_one_forward_by_a_block_at_most() -> None:
    pace = paced(16, 0.1, 60, 0.1)
    assert pace.is_due(12, 0)
    assert not pace.is_due(13, 0) and not pace.is_due(1, 1)


def test_where_every_block_takes_longer_than_one_plays_another_is_begun_meanwhile() -> None:
    """Else a model that makes one while it decodes another would fall behind."""
    assert paced(16, 1.1, 1.2).is_due(4, 1)


def test_a_block_that_took_long_is_forgotten_after_a_few() -> None:
    assert not paced(16, 60, 0.1, 0.1, 0.1, 0.1).is_due(12, 0)


@pytest.fixture
def in_no_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Blocks are made in no time, however busy the machine is: none is begun early for it."""
    monkeypatch.setattr(outbox, "time", SimpleNamespace(perf_counter=lambda: 0.0))


@pytest.mark.usefixtures("in_no_time")
async def test_a_page_that_does_not_read_has_one_block_made_ahead_at_most() -> None:
    backend = ScriptedBackend(frames=12)
    async with running_worker(backend, max_sessions=2) as worker:
        page = await ready(worker, browser=True)
        page.reads.clear()
        page.say(prompt="a", num_blocks=10)
        script = await ready(worker)
        script.say(prompt="b", num_blocks=30)
        assert len(frames_in(await script.stream())) == 360, "the others are not held up"
        assert backend.sessions[0].block <= 2
        page.reads.set()
        assert blocks_of(await frames_up_to(page, 13)) == [0] * 12 + [1]


@pytest.mark.parametrize("wish", [{"fps": 0}, {"events": True}])
async def test_a_page_that_says_how_it_wants_its_frames_gets_them_so(
    wish: dict[str, object],
) -> None:
    """At the pace of pages they would take more than a minute."""
    async with running_worker(ScriptedBackend(frames=12)) as worker:
        page = await ready(worker, browser=True)
        page.say(prompt="a", num_blocks=100, **wish)
        async with asyncio.timeout(PATIENCE):
            assert len(frames_in(await page.stream())) == 1200


async def test_the_operator_may_have_pages_served_as_fast_as_scripts() -> None:
    async with running_worker(ScriptedBackend(frames=12), pace="off") as worker:
        page = await ready(worker, browser=True)
        page.say(prompt="a", num_blocks=100)
        async with asyncio.timeout(PATIENCE):
            assert len(frames_in(await page.stream())) == 1200


@pytest.mark.usefixtures("in_no_time")
async def test_a_prompt_shows_within_two_blocks_of_what_a_page_has_read() -> None:
    backend = ScriptedBackend(frames=12)
    async with running_worker(backend, pace="60") as worker:
        page = await ready(worker, browser=True)
        page.say(prompt="a", num_blocks=100)
        for _ in range(4):
            await frames_up_to(page, 12)
            read = blocks_of(await frames_up_to(page, 1))[-1]
            page.say(prompt=f"prompt {read}", interp_steps=1)
            await page.taken_in()
            assert backend.sessions[0].block <= read + 2
            while len(backend.sessions[0].changes) == 0:
                await frames_up_to(page, 1)
            assert backend.sessions[0].changes.pop()[0] <= read + 2
        await page.gone()


async def test_a_later_stream_on_the_same_socket_has_the_pace_that_its_params_ask_for() -> None:
    """Keys that are absent keep their values: no pace is asked for until the third params do."""
    async with running_worker(ScriptedBackend(frames=2)) as worker:
        page = await ready(worker, browser=True)
        page.say(prompt="a", num_blocks=1, fps=0)
        await page.stream()
        async with asyncio.timeout(PATIENCE):
            page.say(prompt="b", num_blocks=500)
            assert len(frames_in(await page.stream())) == 1000
        loop = asyncio.get_running_loop()
        began = loop.time()
        page.say(prompt="c", num_blocks=6, fps=50)
        assert len(frames_in(await page.stream())) == 12
        assert loop.time() - began >= 11 / 50
        page.say(prompt="d", num_blocks=500, events=True, fps=0)
        async with asyncio.timeout(PATIENCE):
            assert len(frames_in(await page.stream())) == 1000
