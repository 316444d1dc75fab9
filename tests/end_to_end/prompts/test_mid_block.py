"""A prompt that does not wait for the next block, from the client to the engine and back."""

import asyncio
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from support.servers.worker_server import Running, serving
from support.viewers.plain_stream import tiny_backend

from framewire.client import Steered, connect
from framewire.client.errors import ParamsError, SaveError
from framewire.client.timeline.journal import Journal
from framewire.worker.backends.presets import servable_presets
from framewire.worker.backends.wan_session import WanSession
from framewire.worker.engine.options import EngineOptions
from framewire.worker.models.setup import ModelSetup

PARAMS: dict[str, Any] = {"seed": 3, "num_blocks": 4, "width": 64, "height": 64, "interp_steps": 1}
BLOCK = 1
PATIENCE = 60.0


@pytest.fixture
async def worker() -> AsyncIterator[Running]:
    async with serving(tiny_backend(threads=1), codec_threads=1) as running:
        yield running


@pytest.fixture
def between_passes(monkeypatch: pytest.MonkeyPatch) -> threading.Event:
    """Set once the block stands between two passes, where it waits until a prompt has come."""
    reached, asking = threading.Event(), WanSession._asking

    def waiting(session: WanSession, newest: Any) -> Any:
        def once_it_came() -> Any:
            if session.generation.block != BLOCK or reached.is_set():
                return newest()
            reached.set()
            until = time.monotonic() + PATIENCE
            while (change := newest()) is None and time.monotonic() < until:
                time.sleep(0.001)
            return change

        return asking(session, once_it_came)

    monkeypatch.setattr(WanSession, "_asking", waiting)
    return reached


async def made(
    url: str, at: threading.Event | None = None, journal: Journal | None = None, **params: Any
) -> tuple[list[list[tuple[bytes, int | None]]], list[Steered]]:
    """JPEGs and prompt versions of each block, and what was told, steered when `at` is reached."""
    told: list[Steered] = []
    blocks: list[list[tuple[bytes, int | None]]] = [[] for _ in range(PARAMS["num_blocks"])]

    def listen(event: object) -> None:
        if isinstance(event, Steered):
            told.append(event)

    async def steer(session: Any) -> None:
        assert at is not None and await asyncio.to_thread(at.wait, PATIENCE)
        await session.steer("snow")

    async with connect(url, on_event=listen, journal=journal) as session:
        await session.start("a fox", fmt="msgpack", events=True, **{**PARAMS, **params})
        steering = asyncio.create_task(steer(session)) if at is not None else None
        async for frame in session:
            assert frame.block is not None
            blocks[frame.block].append((frame.jpeg, frame.prompt_version))
        if steering is not None:
            await steering
    return blocks, told


async def test_a_prompt_that_comes_while_a_block_is_made_shows_in_that_block(
    worker: Running, between_passes: threading.Event
) -> None:
    """The block before is as it was; this one is told of, named in its frames, and another picture."""
    plain, _ = await made(worker.url)
    journal = Journal()
    steered, told = await made(worker.url, between_passes, journal, mid_block_prompts=True)
    assert [(one.block, one.applied) for one in told] == [(BLOCK, ("prompt",))]
    assert steered[:BLOCK] == plain[:BLOCK]
    assert [{version for _, version in block} for block in steered] == [{1}, {2}, {2}, {2}]
    for block, unsteered in zip(steered[BLOCK:], plain[BLOCK:], strict=True):
        assert all(one[0] != other[0] for one, other in zip(block, unsteered, strict=True))
    with pytest.raises(SaveError, match="no timeline can make the frames again: leave it out"):
        journal.timeline()


async def test_a_stream_that_takes_prompts_mid_block_and_is_not_steered_is_the_same(
    worker: Running,
) -> None:
    assert await made(worker.url, mid_block_prompts=True) == await made(worker.url)


async def test_a_worker_that_cannot_says_so() -> None:
    """Steps that are batched, and new prompts for which the context is made anew."""
    for preset, setup, params, words in (
        (
            "tiny-streamdiffusionv2",
            ModelSetup(options=EngineOptions(batch_steps=True)),
            {"webcam_mode": True},
            "not to be had here",
        ),
        ("tiny-longlive", ModelSetup(), {}, "prompt_switch 'recache' waits for a block"),
    ):
        backend = servable_presets()[preset].make(setup)
        async with serving(backend, codec_threads=1) as worker:
            with pytest.raises(ParamsError, match=f"mid_block_prompts: {words}"):
                await made(worker.url, mid_block_prompts=True, **params)


def test_the_command_refuses_to_keep_what_cannot_be_made_again(tmp_path: Path) -> None:
    """Before anything is started; without it the stream is made."""
    shape = ("a fox", "--mid-block-prompts", "--blocks", "1", "--size", "64x64", "--out", "made/")
    for options, code in ((("--save-timeline", "kept.json"), 2), ((), 0)):
        done = subprocess.run(
            [sys.executable, "-m", "framewire.client.cli", "stream", *shape, *options],
            capture_output=True, text=True, timeout=120, cwd=tmp_path, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr
        assert ("--save-timeline: with mid_block_prompts" in done.stderr) is bool(code)
        assert (tmp_path / "made").exists() is not bool(code)
    assert not (tmp_path / "kept.json").exists()
