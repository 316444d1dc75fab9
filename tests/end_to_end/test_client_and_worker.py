"""The client against a real worker: a subprocess, real sockets, the testcard."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jwt
import pytest
from support.servers.stand_in import picture

from framewire.client import (
    AuthError,
    BlockDone,
    Event,
    Frame,
    FramewireError,
    Session,
    Started,
    Steered,
    connect,
    local_worker,
)
from framewire.client.local_worker import LocalWorker
from framewire.client.options import StartOptions

SECRET = "a secret that is long enough for HS256"
SMALL: StartOptions = {"width": 128, "height": 64}


@pytest.fixture
async def worker() -> AsyncIterator[LocalWorker]:
    async with local_worker(backend="testcard") as running:
        yield running


async def stream(url: str, prompt: str = "a fox", **options: Any) -> list[Frame]:
    async with asyncio.timeout(60), connect(url) as session:
        await session.start(prompt, **{**SMALL, **options})
        return [frame async for frame in session]


async def send(session: Session, pictures: list[bytes]) -> None:
    for one in pictures:
        await session.send_image(one)


def pixels(frames: list[Frame]) -> list[bytes]:
    return [frame.jpeg for frame in frames]


async def test_streams_of_the_hosted_shape_one_after_another(worker: LocalWorker) -> None:
    """12·B - 6 frames for B blocks, then the next stream on the same connection."""
    async with asyncio.timeout(60), connect(worker.url) as session:
        for blocks in (1, 2, 20):
            await session.start("a fox", num_blocks=blocks, **SMALL)
            frames = [frame async for frame in session]
            assert [frame.index for frame in frames] == list(range(12 * blocks - 6))
            assert all(frame.jpeg.startswith(b"\xff\xd8") for frame in frames)


async def test_the_same_seed_gives_the_same_bytes_alone_and_in_company(
    worker: LocalWorker,
) -> None:
    """And another prompt, seed or size gives others."""
    alone = await stream(worker.url, seed=7, num_blocks=3)
    together = await asyncio.gather(
        stream(worker.url, seed=7, num_blocks=3),
        stream(worker.url, seed=8, num_blocks=3),
        stream(worker.url, "a cat", seed=7, num_blocks=3),
        stream(worker.url, seed=7, num_blocks=3, width=192),
    )
    same, *others = (pixels(frames) for frames in together)
    assert same == pixels(alone)
    assert all(other != same for other in others)


async def test_a_steer_shows_exactly_from_its_block_on(worker: LocalWorker) -> None:
    """Frames before it are those of the unsteered stream; numbers and events agree."""
    told: list[Event] = []
    pictures = [picture(number) for number in range(54)]  # without which no block is made

    async def live(*, steered: bool, **options: Any) -> list[Frame]:
        async with asyncio.timeout(60), connect(worker.url, **options) as session:
            await session.start(
                "a fox", seed=7, num_blocks=5, webcam_mode=True, input="all", events=True,
                fmt="msgpack", **SMALL,
            )  # fmt: skip
            if steered:
                await session.steer("a cat", interp_steps=1, at_block=3)
            async with asyncio.TaskGroup() as group:
                group.create_task(send(session, pictures))
                return [frame async for frame in session]

    plain = await live(steered=False)
    frames = await live(steered=True, on_event=told.append)
    assert pixels(frames[:30]) == pixels(plain[:30])
    assert all(a.jpeg != b.jpeg for a, b in zip(frames[30:], plain[30:], strict=True))
    assert [frame.index for frame in frames] == list(range(54))
    assert [frame.prompt_version for frame in frames] == [1] * 30 + [2] * 24
    assert [frame.block for frame in frames] == [0] * 6 + sorted([1, 2, 3, 4] * 12)
    (started,) = (event for event in told if isinstance(event, Started))
    (steered,) = (event for event in told if isinstance(event, Steered))
    assert (started.seed, started.width, started.height) == (7, 128, 64)
    assert (steered.block, steered.applied) == (3, ("prompt",))
    assert [event.block for event in told if isinstance(event, BlockDone)] == [0, 1, 2, 3, 4]


async def test_live_pictures_come_back_under_their_names(worker: LocalWorker) -> None:
    """send_image makes live frames that carry the request they answer; end() ends them."""
    async with asyncio.timeout(60), connect(worker.url) as session:
        await session.start(
            "a fox", webcam_mode=True, input="all", num_blocks=1000, fmt="msgpack", **SMALL
        )
        for number in range(30):
            await session.send_image(picture(number), request_id=str(number))
        await session.end()
        frames = [frame async for frame in session]
    named = [int(frame.request_id) for frame in frames if frame.request_id is not None]
    assert named == sorted(named)
    assert named[-1] == 29


async def test_a_reset_starts_over_with_the_new_values(worker: LocalWorker) -> None:
    """From its first frame on it is the stream that the new values give."""
    fresh = await stream(worker.url, "a cat", seed=9, num_blocks=2)
    async with asyncio.timeout(60), connect(worker.url) as session:
        await session.start("a fox", seed=7, num_blocks=1000, **SMALL)
        await anext(session)
        await session.reset("a cat", seed=9, num_blocks=2)
        frames = [frame async for frame in session]
    assert pixels(frames)[-18:] == pixels(fresh)


async def test_keys_and_secrets_open_the_door(worker: LocalWorker) -> None:
    """A key becomes a token at the worker, a secret mints one here; both stream."""
    env = {"FRAMEWIRE_SECRET": SECRET, "FRAMEWIRE_KEY": "the-key"}
    async with local_worker(["--auth", "jwt"], backend="testcard", env=env) as guarded:
        for credentials in ({"key": "the-key"}, {"secret": SECRET}):
            async with connect(guarded.url, **credentials) as session:  # type: ignore[arg-type]
                await session.start("a fox", num_blocks=1, **SMALL)
                assert len([frame async for frame in session]) == 6
        expired = jwt.encode({"allowed_apps": ["krea-wan-14b"], "iat": 1, "exp": 2}, SECRET)
        for wrong in (
            {"key": "another"},
            {"secret": SECRET[::-1]},
            {"token": expired},
            {"token": "x.y.z"},
            {},
        ):
            with pytest.raises(AuthError):
                await connect(guarded.url, **wrong)  # type: ignore[arg-type]


async def test_a_reader_that_pauses_gets_every_frame(worker: LocalWorker) -> None:
    """The worker waits for it; nothing is lost and nothing runs out of time."""
    whole = await stream(worker.url, seed=7, num_blocks=30)
    async with asyncio.timeout(60), connect(worker.url, buffer_frames=2) as session:
        await session.start("a fox", seed=7, num_blocks=30, **SMALL)
        frames = [await anext(session)]
        await asyncio.sleep(0.5)
        frames += [frame async for frame in session]
    assert pixels(frames) == pixels(whole)


async def test_a_worker_that_drains_finishes_or_says_so(worker: LocalWorker) -> None:
    """SIGTERM in mid stream: an error of ours with a hint, never a silent end."""
    async with asyncio.timeout(60), connect(worker.url) as session:
        await session.start("a fox", num_blocks=100_000, **SMALL)
        await anext(session)
        os.kill(worker.pid, signal.SIGTERM)
        with pytest.raises(FramewireError) as caught:
            async for _ in session:
                pass
    assert caught.value.hint


async def test_a_bare_installation_saves_frames(worker: LocalWorker, tmp_path: Path) -> None:
    """No torch, numpy, PyAV, Pillow or web server: the client needs none of them."""
    code = f"""
import asyncio, sys
for name in ("torch", "numpy", "av", "PIL", "fastapi", "uvicorn", "starlette", "simplejpeg"):
    sys.modules[name] = None
from framewire.client.cli import main
sys.exit(main(["stream", "a fox", "--url", {worker.url!r}, "--blocks", "2", "--size", "64x64",
               "--out", {str(tmp_path / "frames/")!r} + "/"]))
"""
    done = await asyncio.to_thread(
        subprocess.run, [sys.executable, "-c", code], capture_output=True, text=True, timeout=90
    )
    assert done.returncode == 0, done.stderr
    assert len(list((tmp_path / "frames").iterdir())) == 18
