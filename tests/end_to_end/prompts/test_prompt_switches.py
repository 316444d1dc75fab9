"""What becomes of the old prompt's context, asked for on the wire, by the client and the command."""

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from support.servers.worker_server import Running, serving
from support.viewers.raw_viewer import connected

from framewire.client import ParamsError, connect
from framewire.worker.backends.presets import servable_presets
from framewire.worker.backends.wan import WanBackend
from framewire.worker.cli import main
from framewire.worker.models.setup import ModelSetup

PARAMS: dict[str, Any] = {"seed": 3, "num_blocks": 5, "width": 64, "height": 64}


def backend(preset: str, **setup: Any) -> WanBackend:
    made = servable_presets()[preset].make(ModelSetup(threads=1, warm_sizes="64x64", **setup))
    assert isinstance(made, WanBackend)
    return made


@pytest.fixture(scope="module")
def self_forcing() -> WanBackend:
    return backend("tiny-self-forcing", prompt_switches="blend,flush")


@pytest.fixture
async def worker(self_forcing: WanBackend) -> AsyncIterator[Running]:
    async with serving(self_forcing, codec_threads=1) as running:
        yield running


async def steered(url: str, at_block: int = 3, **params: Any) -> list[list[bytes]]:
    """The frames of each block, of a stream with a new prompt in one."""
    made: list[list[bytes]] = [[] for _ in range(PARAMS["num_blocks"])]
    async with connect(url) as session:
        snow = {"prompt": "snow", "at_block": at_block}
        await session.start("a fox", fmt="msgpack", steers=[snow], **{**PARAMS, **params})
        async for frame in session:
            assert frame.block is not None
            made[frame.block].append(frame.jpeg)
    return made


async def test_a_stream_chooses_among_what_the_operator_allows(worker: Running) -> None:
    """The first of them is usual; before the new prompt all are the same."""
    usual = await steered(worker.url)
    assert await steered(worker.url, prompt_switch="blend") == usual
    flushed = await steered(worker.url, prompt_switch="flush")
    assert flushed[:3] == usual[:3]
    assert all(one != other for one, other in zip(flushed[3:], usual[3:], strict=True))


async def test_what_the_operator_does_not_allow_is_refused_with_what_there_is(
    worker: Running,
) -> None:
    """And the connection goes on; a word that is none of the three is a bad param as any."""
    with pytest.raises(ParamsError, match="'recache' is not to be had here, only blend, flush"):
        await steered(worker.url, prompt_switch="recache")
    async with connected(worker.url) as viewer:
        await viewer.say(prompt="a fox", prompt_switch="cut", **PARAMS)
        refused = await viewer.event("x-fal-error")
        assert refused.last["error"][0]["loc"] == ["prompt_switch"]
        await viewer.say(prompt="a fox", prompt_switch="flush", **{**PARAMS, "num_blocks": 1})
        assert len((await viewer.stream()).frames) == 9


async def test_longlive_makes_its_context_anew_and_a_reset_begins_without_one() -> None:
    """As it does by itself; a model with one way only takes no account of the key."""
    allowed = "recache,blend"
    async with serving(backend("tiny-longlive", prompt_switches=allowed), codec_threads=1) as one:
        anew = await steered(one.url)
        faded = await steered(one.url, prompt_switch="blend")
        assert [one == other for one, other in zip(anew, faded, strict=True)] == [
            *[True] * 3,
            *[False] * 2,
        ]
        async with connected(one.url) as viewer:
            snow = {"prompt": "snow", "at_block": 3}
            await viewer.say(prompt="a fox", steers=[snow], **PARAMS)
            assert (await viewer.stream()).frames == list(chain.from_iterable(anew))
            await viewer.say(action="reset")
            again = (await viewer.stream()).frames
            await viewer.say(prompt="snow", **PARAMS)
            assert (await viewer.stream()).frames == again
    async with serving(backend("tiny-random"), codec_threads=1) as other:
        plain = await steered(other.url)
        assert await steered(other.url, prompt_switch="flush") == plain


def stream(*options: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "framewire.client.cli", "stream", *options],
        capture_output=True, text=True, timeout=120, cwd=cwd, env={**os.environ, **environ}, check=False,
    )  # fmt: skip


async def test_the_command_asks_for_it_and_a_kept_session_makes_the_same_frames_again(
    worker: Running, tmp_path: Path
) -> None:
    """Of a worker that it starts itself, and of another; with the usual way, which fades, they differ."""
    environ = {"FRAMEWIRE_BACKEND": "tiny-self-forcing", "FRAMEWIRE_PROMPT_SWITCHES": "blend,flush"}
    environ |= {"FRAMEWIRE_THREADS": "1", "FRAMEWIRE_WARM_SIZES": "64x64"}
    shape = ("--size", "64x64", "--seed", "3", "--blocks", "4", "--steer", "3b=snow")
    for name, options in (
        ("flushed", ("a fox", *shape, "--prompt-switch", "flush", "--save-timeline", "kept.json")),
        ("faded", ("a fox", *shape, "--url", worker.url)),
        ("again", ("--timeline", "kept.json", "--url", worker.url)),
    ):
        out = ("--out", f"{name}/")
        done = await asyncio.to_thread(stream, *options, *out, cwd=tmp_path, **environ)
        assert done.returncode == 0, done.stderr
    flushed, faded, again = (
        [path.read_bytes() for path in sorted((tmp_path / name).glob("*.jpg"))]
        for name in ("flushed", "faded", "again")
    )
    assert len(flushed) == 45
    assert flushed == again
    assert flushed[:33] == faded[:33] and flushed[33] != faded[33]


def test_a_worker_does_not_start_with_a_way_that_its_model_has_not(
    capfd: pytest.CaptureFixture[str],
) -> None:
    options = ("--backend", "tiny-random", "--prompt-switches", "blend,flush", "--port", "0")
    assert main(["serve", *options]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert "'flush': of preset tiny-random it can be blend" in line
