"""Measure the shipped model as its viewers see it: `python -m train_tiny.evaluate`.

Owns the protocol of the model card's table: held-out combinations and seeds, streams of a real
worker at the default size, frames measured by `measure.py`. Knows no training.
"""

import argparse
import asyncio
import itertools
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm
from train_tiny.captions import plain_caption
from train_tiny.clips import FIRST_FRAMES, clip_of
from train_tiny.measure import Seen, look
from train_tiny.watch import png, watch
from train_tiny.world import (
    COLOURS,
    DIRECTIONS,
    HEIGHT,
    START_COLUMNS,
    WIDTH,
    Frames,
    Scene,
    random_scene,
)

from framewire.client import connect, local_worker
from framewire.worker.engine.engine import Engine
from framewire.worker.engine.tiny.model import load_tiny

GOALS = {
    "autoencoder": {"background": 0.97, "colour": 0.97, "shape": 0.97, "direction": 0.97},
    "later": {"background": 0.95, "colour": 0.95, "shape": 0.8, "direction": 0.9},
    "steered": {"colour within 2 blocks, interp_steps=1": 0.9},
}
JUMP = 10.0
"""Mean difference of 8-bit pixels between neighbouring frames, above which it is a jump. In the
world itself it is 7 at most, where something large crosses an edge."""
NEAR = 24
"""Pixels of 160 from where a thing should be, below which it is in its place. One place in eight is
near by chance."""
AT_ONCE = 3
"""Streams at a time: while one is measured, the worker makes another."""

Rates = dict[str, float]


class Tally:
    """Hits and tries by name."""

    def __init__(self) -> None:
        """Nothing counted."""
        self._hits: dict[str, list[bool]] = defaultdict(list)

    def add(self, name: str, hit: bool) -> None:
        """Count one try."""
        self._hits[name].append(hit)

    def compare(self, when: str, scene: Scene, seen: Seen) -> None:
        """Count every property of a scene's only thing."""
        (thing,) = scene.things
        self.add(f"{when}: background", seen.background == scene.background)
        self.add(f"{when}: colour", seen.colour == thing.colour)
        self.add(f"{when}: shape", seen.shape == thing.shape)
        if thing.motion in DIRECTIONS:
            self.add(f"{when}: direction", seen.direction == thing.motion)

    def rates(self) -> Rates:
        """The share of hits by name, names in order."""
        return {name: float(np.mean(self._hits[name])) for name in sorted(self._hits)}


async def each(count: int, name: str, one: Callable[[int], Awaitable[None]]) -> None:
    """Do something `count` times, a few at a time."""
    room = asyncio.Semaphore(AT_ONCE)
    with tqdm(total=count, desc=name, mininterval=5) as bar:

        async def do(index: int) -> None:
            async with room:
                await one(index)
            bar.update()

        async with asyncio.TaskGroup() as group:
            for index in range(count):
                group.create_task(do(index))


def held_out_scene(rng: np.random.Generator) -> Scene:
    """A scene that training never drew. (Of things that stand still it drew all.)"""
    while True:
        scene = random_scene(rng, held_out=True)
        if scene.things[0].motion != "still":
            return scene


def reconstruct(engine: Engine, frames: Frames) -> Frames:
    """A clip [1 + 4k, H, W, 3] encoded and decoded by the engine's autoencoder."""
    pixels = torch.from_numpy(frames).movedim(-1, 1).float() / 127.5 - 1
    latents = engine.vae.encode(pixels, engine.vae.open_encoder())
    made = engine.decoder.decode(latents, engine.decoder.open_decoder())
    return ((made + 1) * 127.5).round().to(torch.uint8).movedim(1, -1).numpy()


def reconstruction(engine: Engine, clips: int, seed: int) -> Rates:
    """What the autoencoder alone keeps of held-out scenes."""
    tally, rng = Tally(), np.random.default_rng(seed)
    for _ in range(clips):
        scene = held_out_scene(rng)
        frames = clip_of(rng, scene, scene).frames
        tally.compare("autoencoder", scene, look(reconstruct(engine, frames)[FIRST_FRAMES:]))
    return tally.rates()


async def adherence(url: str, pairs: int, seed: int) -> Rates:
    """Held-out combinations: the first block, and the two after it."""
    tally = Tally()

    async def one(index: int) -> None:
        scene = held_out_scene(np.random.default_rng((seed, index)))
        first, *later = await watch(url, plain_caption(scene), 3, 10_000 + index)
        tally.compare("block 0", scene, await looked(first))
        tally.compare("later", scene, await looked(*later))

    await each(pairs, "adherence", one)
    return tally.rates()


async def steering(url: str, cases: int, seed: int) -> Rates:
    """A new colour in mid stream: dominant within 2 blocks at once, within 5 by a ramp of 4."""
    tally, at = Tally(), 2

    async def one(index: int) -> None:
        rng = np.random.default_rng((seed, index))
        scene = held_out_scene(rng)
        colour = _other_colour(rng, scene.things[0].colour)
        wanted = _in_colour(scene, colour)
        for steps, within in ((1, 2), (4, 5)):
            made = await watch(
                url, plain_caption(scene), at + within, 20_000 + index, steer=(at, wanted, steps)
            )
            seen = [(await looked(block)).colour for block in made[at:]]
            how = f"interp_steps={steps}"
            tally.add(f"steered: colour within {within} blocks, {how}", colour in seen)
            tally.add(f"steered: colour in block {within}, {how}", seen[-1] == colour)
            calm = max(jumps(*made[:at]), jumps(made[at + steps - 1][-1:], *made[at + steps :]))
            tally.add(f"steered: no jump outside the ramp, {how}", calm < JUMP)

    await each(cases, "steering", one)
    return tally.rates()


async def endurance(url: str, streams: int, blocks: int, seed: int) -> Rates:
    """Long streams: the first five blocks after block 0 against the last five."""
    tally = Tally()

    async def one(index: int) -> None:
        scene = held_out_scene(np.random.default_rng((seed, index)))
        made = await watch(url, plain_caption(scene), blocks, 30_000 + index)
        for when, some in (("blocks 1-5", made[1:6]), (f"last 5 of {blocks}", made[-5:])):
            for block in some:
                tally.compare(when, scene, await looked(block))

    await each(streams, "endurance", one)
    return tally.rates()


async def start_frames(url: str, cases: int, seed: int) -> Rates:
    """A start frame with a prompt that names all but the colour: colour and place persist."""
    tally = Tally()

    async def one(index: int) -> None:
        rng = np.random.default_rng((seed, index))
        scene = held_out_scene(rng)
        (thing,) = scene.things
        picture = clip_of(rng, scene, scene, int(rng.choice(START_COLUMNS))).frames[4]
        middle = (await looked(np.stack([picture, picture]))).middle
        said = _without_colour(scene)
        start = png(picture)
        made = await watch(url, said, 2, 40_000 + index, start_frame=start, webcam_mode=False)
        for block, frames in enumerate(made):
            seen = await looked(frames)
            tally.add(f"start frame: colour in block {block}", seen.colour == thing.colour)
            if block == 0:
                near = _apart(seen.middle, middle) < NEAR
                tally.add("start frame: place in block 0", near)

    await each(cases, "start frames", one)
    return tally.rates()


async def live_input(url: str, cases: int, seed: int) -> Rates:
    """Pictures under a prompt that names no colour, or another: whose colour and place show."""
    tally = Tally()

    async def one(index: int) -> None:
        rng = np.random.default_rng((seed, index))
        scene = held_out_scene(rng)
        (thing,) = scene.things
        frames = clip_of(rng, scene, scene).frames
        middle = (await looked(frames[FIRST_FRAMES:])).middle
        colour = _other_colour(rng, thing.colour)
        prompts = {"no colour": _without_colour(scene), "another colour": _in_colour(scene, colour)}
        for (named, said), strength in itertools.product(prompts.items(), (0.5, 1.0)):
            made = await watch(url, said, 2, 50_000 + index, pictures=frames, strength=strength)
            seen, when = await looked(made[1]), f"prompt names {named}, strength {strength}"
            tally.add(f"live: input's colour, {when}", seen.colour == thing.colour)
            tally.add(f"live: input's place, {when}", _apart(seen.middle, middle) < NEAR)
            if named == "another colour":
                tally.add(f"live: prompt's colour, {when}", seen.colour == colour)

    await each(cases, "live input", one)
    return tally.rates()


async def speed(url: str, blocks: int = 40) -> Rates:
    """Frames a second at the default size, from a first stream's second block on."""
    async with connect(url) as session:
        prompt = "a red circle moving right over a night sky"
        await session.start(prompt, num_blocks=blocks, fmt="msgpack")
        started, count = 0.0, 0
        async for frame in session:
            count += frame.block != 0
            if frame.block == 0:
                started = time.perf_counter()
    return {"speed: frames/s of 832x480 JPEG, received": count / (time.perf_counter() - started)}


def peak_memory(pid: int) -> float:
    """Gigabytes that a process had resident at most (Linux)."""
    (line,) = (
        line
        for line in Path(f"/proc/{pid}/status").read_text(encoding="ascii").splitlines()
        if line.startswith("VmHWM:")
    )
    return int(line.split()[1]) * 1024 / 1e9


def jumps(*blocks: Frames) -> float:
    """The largest mean difference between neighbouring frames of blocks in a row, 0-255."""
    frames = np.concatenate(blocks).astype(np.int16)
    return float(np.abs(np.diff(frames, axis=0)).mean(axis=(1, 2, 3)).max())


async def looked(*blocks: Frames) -> Seen:
    """What blocks in a row show, measured beside the event loop."""
    return await asyncio.to_thread(look, np.concatenate(blocks))


def _other_colour(rng: np.random.Generator, colour: str) -> str:
    return str(rng.choice([name for name in COLOURS if name != colour]))


def _in_colour(scene: Scene, colour: str) -> str:
    """The caption with its only thing in another colour."""
    (thing,) = scene.things
    return plain_caption(replace(scene, things=(replace(thing, colour=colour),)))


def _without_colour(scene: Scene) -> str:
    (thing,) = scene.things
    return plain_caption(scene).replace(f"{thing.colour} ", "", 1)


Place = tuple[float, float] | None


def _apart(one: Place, other: Place) -> float:
    """Pixels between two places on the torus; infinitely many where something is not seen."""
    if one is None or other is None:
        return math.inf
    size = np.array((WIDTH, HEIGHT))
    return float(np.hypot(*((np.subtract(one, other) + size / 2) % size - size / 2)))


async def whole_table(pairs: int) -> Rates:
    """Everything, with `pairs` streams for adherence, half for the rest and fewer of long ones."""
    half, few = max(1, pairs // 2), max(1, pairs // 20)
    rates = reconstruction(load_tiny(), pairs, seed=6)
    async with local_worker(backend="tiny") as worker:
        rates |= await speed(worker.url)
        rates |= await adherence(worker.url, pairs, seed=1)
        rates |= await steering(worker.url, half, seed=2)
        rates |= await endurance(worker.url, few, 100, seed=3)
        rates |= await start_frames(worker.url, half, seed=4)
        rates |= await live_input(worker.url, half, seed=5)
        rates["memory: gigabytes of the worker at most"] = peak_memory(worker.pid)
    return rates


def rows(rates: Rates) -> list[str]:
    """The rates as a table's rows, with their goals."""
    made = ["| measure | goal | reached |", "|---|---|---|"]
    for name, rate in rates.items():
        when, what = name.split(": ", 1)
        goal = GOALS.get(when, {}).get(what)
        wanted = "" if goal is None else f"{100 * goal:.0f} %"
        figure = f"{rate:.3g}" if when in ("speed", "memory") else f"{100 * rate:.1f} %"
        made.append(f"| {name} | {wanted} | {figure} |")
    return made


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=200)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print("\n".join(rows(asyncio.run(whole_table(given.pairs)))))


if __name__ == "__main__":
    main()
