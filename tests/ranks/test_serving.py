"""What a viewer gets of a worker whose ranks share the work is what one process makes."""

import asyncio
import json
from io import BytesIO
from typing import Any

import numpy as np
import pytest
from PIL import Image
from support.servers.worker_server import command, serving
from support.viewers.raw_viewer import connected

from framewire.worker.backends.presets import servable_presets
from framewire.worker.cli import main
from framewire.worker.engine.options import EngineOptions
from framewire.worker.models.setup import ModelSetup

SIZE: dict[str, Any] = {"width": 64, "height": 64, "num_denoising_steps": 2}
BOUND = 4
"""Levels: products of fewer rows add up in another order, of which a picture's rounding and JPEG
may make so many. It is 0 where they do not."""


def pixels(frame: bytes) -> np.ndarray[Any, np.dtype[np.int16]]:
    return np.asarray(Image.open(BytesIO(frame)), np.int16)


def picture(number: int) -> bytes:
    data = BytesIO()
    Image.new("RGB", (64, 64), (40 * number % 255, 90, 200)).save(data, "PNG")
    return data.getvalue()


async def steered(url: str) -> list[bytes]:
    """Four blocks of a stream that a reset ends, and all of the one that it starts.

    What is made just ahead of a reset is dropped, a part of a block more or less.
    """
    async with connected(url + "?events=1&fmt=msgpack") as viewer:
        cat = {"prompt": "a cat", "interp_steps": 2, "at_block": 2}
        await viewer.say(prompt="a fox", seed=3, num_blocks=1000, steers=[cat], **SIZE)
        first = (await viewer.frame(6 + 12 * 3)).maps
        await viewer.say(action="reset", prompt="an owl", num_blocks=8)
        anew = (await viewer.stream()).maps
    start = next(at for at, frame in enumerate(anew) if frame["index"] == 0)
    return [frame["image"] for frame in first + anew[start:]]


async def live(url: str) -> list[bytes]:
    async with connected(url + "?events=1&fmt=msgpack") as viewer:
        await viewer.say(prompt="a", seed=4, num_blocks=4, webcam_mode=True, input="all", **SIZE)
        for number in range(9 + 12 * 3):
            await viewer.say(image=picture(number))
        return [frame["image"] for frame in (await viewer.stream()).maps]


async def both(url: str) -> list[bytes]:
    """Two sessions at once: their blocks take turns."""
    one, other = await asyncio.gather(steered(url), live(url))
    return one + other


def alike(found: list[bytes], wanted: list[bytes]) -> None:
    assert len(found) == len(wanted) > 0
    for one, another in zip(found, wanted, strict=True):
        assert np.abs(pixels(one) - pixels(another)).max() <= BOUND


async def test_steered_live_and_reset_streams_side_by_side_are_those_of_one_process() -> None:
    backend = servable_presets()["tiny-random"].make(ModelSetup(threads=1))
    async with serving(backend) as alone:
        wanted = await both(alone.url)
    options = ("--backend", "wan", "--preset", "tiny-random", "--device", "cpu", "--threads", "1")
    async with command(*options, "--num-gpus", "2") as shared:
        alike(await both(shared.url), wanted)


async def test_tiny_on_two_ranks_is_tiny() -> None:
    async def stream(url: str) -> list[bytes]:
        async with connected(url + "?fmt=msgpack") as viewer:
            await viewer.say(prompt="a red circle", seed=3, num_blocks=3)
            return [frame["image"] for frame in (await viewer.stream()).maps]

    async with serving(servable_presets()["tiny"].make(ModelSetup())) as alone:
        wanted = await stream(alone.url)
    backend = servable_presets()["tiny"].make(ModelSetup(num_gpus=2, device="cpu"))
    async with serving(backend) as shared:
        alike(await stream(shared.url), wanted)


@pytest.mark.parametrize(
    ("setup", "words"),
    [
        (ModelSetup(num_gpus=4, device="cpu"), "cannot be shared out to 4 GPUs"),
        (ModelSetup(num_gpus=3, device="cpu,cpu"), "say one of them"),
        (ModelSetup(device="cpu,cuda:0"), "of one kind"),
        (ModelSetup(device="cuda:0,cuda:7"), "this machine has"),
        (ModelSetup(device="cpu,cpu", options=EngineOptions(cuda_graph=True)), "for one GPU"),
    ],
)
def test_devices_that_cannot_share_a_stream_are_refused_in_a_line(
    setup: ModelSetup, words: str
) -> None:
    with pytest.raises(ValueError, match=words) as refused:
        servable_presets()["tiny-random"].make(setup)
    assert "\n" not in str(refused.value)


def test_the_bench_measures_several_ranks(capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "engine", "--preset", "tiny-random", "--blocks", "1", "--json"]
    assert main([*command, "--device", "cpu", "--num-gpus", "2"]) == 0
    (row,) = map(json.loads, capsys.readouterr().out.splitlines())
    assert row["variant"] == "faithful" and row["fps"] > 0 and "error" not in row
