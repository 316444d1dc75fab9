"""A worker that goes away in mid stream and comes back: every viewer gets what it asked for.

The real command in a process of its own, killed or told to stop, and started again on its port.
"""

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import pytest
from support.servers.ports import free_port
from support.servers.stand_in import picture
from support.servers.worker_server import command

from framewire.client import (
    Event,
    Frame,
    Reconnect,
    Reconnected,
    Reconnecting,
    Recorder,
    Session,
    connect,
    saver_for,
)

DOWN = 2.0
"""Seconds between the end of one worker and the start of the next: what is to be survived."""
SMALL = {"width": 128, "height": 64}
PATIENT = Reconnect(attempts=1000, first_delay=0.1, max_delay=0.3, give_up_after=100)

pytestmark = pytest.mark.timeout(300)


async def kill_and_restart(number: signal.Signals, url: asyncio.Future[str], go: asyncio.Event,
                           done: asyncio.Event) -> None:  # fmt: skip
    """A worker until `go`, none for two seconds, and another on the same port until `done`.

    The first is slow, so that all stream still when it goes.
    """
    options = ("--port", str(free_port()), "--grace", "5", "--max-sessions", "8")
    async with command(*options, slow=True, FRAMEWIRE_TEST_BLOCK="0.1") as first:
        url.set_result(first.url)
        await go.wait()
        first.signal(number)
        await first.exit_code()
    await asyncio.sleep(DOWN)
    async with command(*options):
        await done.wait()


@asynccontextmanager
async def unreliable(number: signal.Signals) -> AsyncIterator[tuple[str, asyncio.Event]]:
    """The URL of a worker that goes away when the event is set."""
    url: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    go, done = asyncio.Event(), asyncio.Event()
    async with asyncio.timeout(200), asyncio.TaskGroup() as group:
        group.create_task(kill_and_restart(number, url, go, done))
        yield await url, go
        done.set()


async def test_a_killed_worker_costs_no_frame(tmp_path: Path) -> None:
    """SIGKILL in mid stream, back on the same port: all frames in order, an event that says what
    happened, the same picture for the same seed, and a video that plays from end to end."""
    told: list[Event] = []
    path = tmp_path / "a.mp4"
    frames: list[Frame] = []
    async with (
        unreliable(signal.SIGKILL) as (url, go),
        Recorder([saver_for(str(path))]) as recorder,
        connect(url, reconnect=PATIENT, on_event=told.append) as session,
    ):
        await session.start("a fox", num_blocks=100, **SMALL)  # type: ignore[arg-type]
        async for frame in session:
            await recorder.write(frame)
            frames.append(frame)
            if frame.index == 20:
                go.set()
    assert [frame.index for frame in frames] == list(range(12 * 100 - 6))
    assert isinstance(told[0], Reconnecting) and told[0].cause.hint
    (found,) = (event for event in told if isinstance(event, Reconnected))
    assert 21 <= found.frames < 12 * 100 - 6 and found.seconds >= DOWN / 2
    again = [frame.jpeg for frame in frames[found.frames :]]
    both = min(found.frames, len(again))
    assert again[:both] == [frame.jpeg for frame in frames[:both]]
    with av.open(str(path)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 12 * 100 - 6


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
async def test_every_viewer_comes_back(number: signal.Signals) -> None:
    """Plain, with events, steered and live: each gets as many frames as it asked for, in order."""
    kinds: list[dict[str, Any]] = [{}, {"fmt": "msgpack"}, {"events": True}]
    kinds += [{"fmt": "msgpack", "events": True}, {"webcam_mode": True}]
    async with unreliable(number) as (url, go):
        together = asyncio.Barrier(len(kinds))
        viewers = [_Viewer(30 + place, go, together) for place in range(len(kinds))]
        await asyncio.gather(
            *(viewer.watch(url, **kind) for viewer, kind in zip(viewers, kinds, strict=True))
        )
    for viewer in viewers:
        assert viewer.indices == list(range(12 * viewer.blocks - 6))
        assert sum(isinstance(event, Reconnected) for event in viewer.told) == 1


class _Viewer:
    """Reads, steers at frame 20, waits there until the worker goes away, and reads on."""

    def __init__(self, blocks: int, go: asyncio.Event, together: asyncio.Barrier) -> None:
        self.blocks = blocks
        self.indices: list[int] = []
        self.told: list[Event] = []
        self._go = go
        self._together = together
        self._may_film = asyncio.Event()

    async def watch(self, url: str, **options: Any) -> None:
        async with connect(url, reconnect=PATIENT, on_event=self.told.append) as session:
            await session.start("a fox", num_blocks=self.blocks, **SMALL, **options)
            filming = asyncio.create_task(self._film(session)) if "webcam_mode" in options else None
            async for frame in session:
                self.indices.append(frame.index)
                if frame.index == 20:
                    await session.steer("a cat", interp_steps=1)
                    self._may_film.clear()
                    await self._together.wait()
                    self._go.set()
                    self._may_film.set()
            if filming is not None:
                await filming

    async def _film(self, session: Session) -> None:
        """A camera, of 240 pictures a second, that goes on whatever becomes of the connection."""
        self._may_film.set()
        number = 0
        while await session.send_image(picture(number % 50)):
            number += 1
            await asyncio.sleep(1 / 240)
            await self._may_film.wait()
