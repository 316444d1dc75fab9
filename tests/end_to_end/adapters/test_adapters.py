"""The shipped adapters on a real worker: loaded, blended and steered live, and seen in the pixels."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import save_file
from support.engines.adapters_made import in_style, random_pairs
from support.servers.worker_server import Running, lane_held, serving

from framewire.client import ParamsError, connect
from framewire.worker.backends.presets import servable_presets
from framewire.worker.backends.wan import WanBackend
from framewire.worker.cli import main
from framewire.worker.models.setup import ModelSetup

PROMPT = "a red circle moving right over a meadow"
RED, YELLOW = (220, 35, 40), (245, 225, 50)
Blocks = list[NDArray[np.uint8]]


def backend(preset: str = "tiny", **setup: Any) -> WanBackend:
    made = servable_presets()[preset].make(ModelSetup(threads=1, **setup))
    assert isinstance(made, WanBackend)
    return made


@pytest.fixture(scope="module")
def live() -> WanBackend:
    return backend(lora=("gold=0", "stage=0"), lora_live=True)


@pytest.fixture
async def worker(live: WanBackend) -> AsyncIterator[Running]:
    async with serving(live, max_sessions=3) as running:
        yield running


async def shown(
    url: str, blocks: int = 2, steer: tuple[int, Mapping[str, float]] | None = None, **params: Any
) -> Blocks:
    """The frames of each block, [T, 96, 160, 3]."""
    made: list[list[NDArray[np.uint8]]] = [[] for _ in range(blocks)]
    steers = [] if steer is None else [{"at_block": steer[0], "loras": steer[1]}]
    async with connect(url) as session:
        await session.start(
            PROMPT,
            num_blocks=blocks,
            seed=3,
            width=160,
            height=96,
            fmt="msgpack",
            steers=steers,
            **params,
        )
        async for frame in session:
            assert frame.block is not None
            with Image.open(BytesIO(frame.jpeg)) as picture:
                made[frame.block].append(np.asarray(picture))
    return [np.stack(frames) for frames in made]


def share_of(frames: NDArray[np.uint8], colour: tuple[int, int, int]) -> float:
    """Of all pixels those that are of about this colour."""
    return float((np.abs(frames.astype(int) - colour).max(axis=-1) < 40).mean())


def behind(frames: NDArray[np.uint8]) -> float:
    """How light the lower quarter is, where nothing moves."""
    return float(frames[:, 72:].mean())


async def test_adapters_show_and_blend_and_a_steer_takes_effect_in_its_block(
    worker: Running,
) -> None:
    """Three sessions at once: without, gold from block 2 on, and both; each as strong as it asked."""
    plain, turned, both = await asyncio.gather(
        shown(worker.url, 4),
        shown(worker.url, 4, steer=(2, {"gold": 1.0})),
        shown(worker.url, loras={"gold": 1.0, "stage": 1.0}),
    )
    for block in (0, 1):
        assert np.array_equal(turned[block], plain[block])
    for block, colour, other in ((1, RED, YELLOW), (3, YELLOW, RED)):
        assert share_of(turned[block], colour) > 0.03
        assert share_of(turned[block], other) < 0.005
    assert not np.array_equal(turned[2], plain[2])
    assert abs(behind(turned[3]) - behind(plain[3])) < 8, "gold leaves what is behind"
    assert share_of(both[1], YELLOW) > 0.03
    assert behind(both[1]) < 0.5 * behind(plain[1]), "the stage is dark"


async def test_half_a_strength_is_between(worker: Running) -> None:
    none, half, whole = await asyncio.gather(
        *(shown(worker.url, loras={"stage": strength}) for strength in (0.0, 0.5, 1.0))
    )
    assert behind(none[1]) > 1.2 * behind(half[1]) > 1.2 * behind(whole[1])


async def test_a_name_that_the_worker_lacks_is_refused_with_those_that_there_are(
    worker: Running,
) -> None:
    """At the start; in a stream it is a warning, and the stream goes on as if it had not been said."""
    with pytest.raises(ParamsError, match="no adapter 'chalk' here, only gold, stage"):
        await shown(worker.url, loras={"chalk": 1.0})
    warnings: list[str] = []
    async with connect(worker.url, on_event=lambda event: warnings.append(str(event))) as session:
        async with lane_held(worker.inside):
            await session.start(PROMPT, num_blocks=2, seed=3, events=True)
            await session.steer(loras={"chalk": 1.0})
        frames = [frame async for frame in session]
    assert len(frames) == 18
    assert any("no adapter 'chalk' here" in one for one in warnings)


async def test_a_worker_without_adapters_ignores_the_key() -> None:
    async with serving() as plain, connect(plain.url) as session:
        await session.start("a fox", num_blocks=1, loras={"chalk": 1.0})
        assert len([frame async for frame in session]) == 6


async def test_a_kept_session_says_its_strengths(worker: Running) -> None:
    """So that it can be made again: in its params, and at the block where they changed."""
    from framewire.client.timeline.journal import Journal

    journal = Journal()
    async with connect(worker.url, journal=journal) as session:
        stage = {"loras": {"stage": 1.0}, "at_block": 1}
        await session.start(
            PROMPT, num_blocks=3, seed=3, events=True, loras={"gold": 0.5}, steers=[stage]
        )
        async for _ in session:
            pass
    (piece,) = journal.timeline().pieces
    assert piece.params["loras"] == {"gold": 0.5}
    assert piece.steers == ({"loras": {"gold": 0.5, "stage": 1.0}, "at_block": 1},)
    assert piece.made_with["loras"] == "gold=0 live, stage=0 live"


@pytest.mark.parametrize("how", ["another model's", "not there", "too strong", "coloured"])
def test_an_adapter_that_cannot_be_had_ends_serve_in_one_line(
    tmp_path: Path, how: str, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "style.safetensors"
    named = "\x1b[31mred.lora_A.weight"
    tensors = {named: torch.ones(2, 2)} if how == "coloured" else in_style(random_pairs(), "kohya")
    save_file(tensors, file)
    said, expected = {
        "another model's": (str(file), "it is an adapter of another"),
        "not there": ("someone/styles/ink.safetensors", "framewire-worker pull someone/styles/ink"),
        "too strong": (f"{file}=11", "with a strength of 0 to 10"),
        "coloured": (str(file), "\\u001b[31mred is no layer"),
    }[how]
    assert main(["serve", "--port", "0", "--backend", "tiny", "--lora", said]) == 2
    (line,) = capfd.readouterr().err.splitlines()
    assert expected in line
