"""Measure the exported model through the engine: `python -m train_tiny.evaluate --weights FOLDER`.

Owns the protocol of the model card's table: held-out combinations and seeds, streams opened as a
session opens them, frames measured by `measure.py`. Knows no training.
"""

import argparse
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from train_tiny.captions import plain_caption
from train_tiny.clips import clip_of
from train_tiny.measure import Seen, look
from train_tiny.world import COLOURS, DIRECTIONS, Frames, Scene, random_scene

from framewire.worker.engine.engine import Engine
from framewire.worker.engine.params import StreamParams
from framewire.worker.engine.tiny import TINY, load_tiny

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
        self.add(f"{when} background", seen.background == scene.background)
        self.add(f"{when} colour", seen.colour == thing.colour)
        self.add(f"{when} shape", seen.shape == thing.shape)
        if thing.motion in DIRECTIONS:
            self.add(f"{when} direction", seen.direction == thing.motion)

    def rates(self) -> Rates:
        """The share of hits by name."""
        return {name: float(np.mean(hits)) for name, hits in self._hits.items()}


def blocks(engine: Engine, scene: Scene, seed: int, count: int) -> Iterator[Frames]:
    """The first blocks of a stream of a scene's plain caption, uint8 frames [T, H, W, 3]."""
    stream = engine.open(plain_caption(scene), StreamParams.of(TINY, seed=seed))
    for _ in range(count):
        yield stream.generate_block().numpy()


def reconstruct(engine: Engine, frames: Frames) -> Frames:
    """A clip [1 + 4k, H, W, 3] encoded and decoded by the engine's autoencoder."""
    pixels = torch.from_numpy(frames).movedim(-1, 1).float() / 127.5 - 1
    latents = engine.vae.encode(pixels, engine.vae.open_encoder())
    made = engine.decoder.decode(latents, engine.decoder.open_decoder())
    return ((made + 1) * 127.5).round().to(torch.uint8).movedim(1, -1).numpy()


def reconstruction(engine: Engine, clips: int, seed: int) -> Rates:
    """What the autoencoder alone keeps of held-out scenes."""
    tally, rng = Tally(), np.random.default_rng(seed)
    for index in range(clips):
        scene = random_scene(rng, held_out=True)
        frames = clip_of(rng, scene, scene, fresh=index % 2 == 0).frames
        tally.compare("autoencoder", scene, look(reconstruct(engine, frames)[9:]))
    return tally.rates()


def adherence(engine: Engine, pairs: int, seed: int) -> Rates:
    """Held-out combinations: the first block, and the two after it."""
    tally, rng = Tally(), np.random.default_rng(seed)
    for index in range(pairs):
        scene = random_scene(rng, held_out=True)
        first, *later = blocks(engine, scene, 10_000 + index, 3)
        tally.compare("block 0", scene, look(first))
        tally.compare("later", scene, look(np.concatenate(later)))
    return tally.rates()


def steering(engine: Engine, cases: int, seed: int) -> Rates:
    """A new colour in mid stream: dominant within 2 blocks at once, within 5 by a ramp of 4."""
    tally, rng = Tally(), np.random.default_rng(seed)
    for index in range(cases):
        scene = random_scene(rng)
        (thing,) = scene.things
        others = [name for name in COLOURS if name != thing.colour]
        colour = others[int(rng.integers(len(others)))]
        wanted = replace(scene, things=(replace(thing, colour=colour),))
        for steps, within in ((1, 2), (4, 5)):
            stream = engine.open(plain_caption(scene), StreamParams.of(TINY, seed=20_000 + index))
            for _ in range(2):
                stream.generate_block()
            stream.steer(prompt=plain_caption(wanted), interp_steps=steps)
            seen = [look(stream.generate_block().numpy()).colour for _ in range(within)]
            tally.add(f"steered colour, interp_steps={steps}", colour in seen)
            if steps == 1:
                tally.add("steered colour in the next block", seen[0] == colour)
    return tally.rates()


def endurance(engine: Engine, streams: int, count: int, seed: int) -> Rates:
    """Long streams: the first five blocks against the last five."""
    tally, rng = Tally(), np.random.default_rng(seed)
    for index in range(streams):
        scene = random_scene(rng, held_out=True)
        for number, frames in enumerate(blocks(engine, scene, 30_000 + index, count)):
            if 1 <= number <= 5:
                tally.compare("blocks 1-5", scene, look(frames))
            elif number >= count - 5:
                tally.compare("last 5", scene, look(frames))
    return tally.rates()


def start_frames(engine: Engine, cases: int, seed: int) -> Rates:
    """A start frame with a fitting prompt that names no colour: its colour and place persist."""
    tally, rng = Tally(), np.random.default_rng(seed)
    for index in range(cases):
        scene = random_scene(rng, held_out=True)
        picture = clip_of(rng, scene, scene, fresh=True).frames[4]
        shown = look(np.stack([picture, picture]))
        thing = scene.things[0]
        said = plain_caption(scene).replace(f"{thing.colour} ", "", 1)
        stream = engine.open(
            said,
            StreamParams.of(TINY, seed=40_000 + index),
            start_frame=torch.from_numpy(picture),
        )
        seen = [look(stream.generate_block().numpy()) for _ in range(2)]
        tally.add("start frame: colour in block 0", seen[0].colour == thing.colour)
        tally.add("start frame: colour in block 1", seen[1].colour == thing.colour)
        near = seen[0].middle is not None and shown.middle is not None
        tally.add(
            "start frame: place in block 0 within 24 px",
            near and float(np.hypot(*(np.subtract(seen[0].middle, shown.middle)))) < 24,  # type: ignore[arg-type]
        )
    return tally.rates()


def live_input(engine: Engine, cases: int, seed: int) -> Rates:
    """Pictures of one scene under another's prompt: whose colour shows, by strength."""
    tally, rng = Tally(), np.random.default_rng(seed)
    for index in range(cases):
        scene, said = random_scene(rng), random_scene(rng)
        thing, other = scene.things[0], said.things[0]
        if thing.colour == other.colour:
            continue
        frames = clip_of(rng, scene, scene, fresh=True).frames
        for strength in (0.5, 1.0):
            params = StreamParams.of(TINY, seed=50_000 + index, strength=strength)
            stream = engine.open(plain_caption(said), params)
            for pictures in (frames[:9], frames[9:]):
                made = stream.generate_block(torch.from_numpy(pictures.copy()))
            colour = look(made.numpy()).colour
            tally.add(f"input's colour at strength {strength}", colour == thing.colour)
            tally.add(f"prompt's colour at strength {strength}", colour == other.colour)
    return tally.rates()


def speed(engine: Engine, count: int = 12) -> Rates:
    """Frames a second of the engine alone."""
    stream = engine.open("a red circle moving right over a night sky")
    for _ in range(3):
        stream.generate_block()
    started = time.perf_counter()
    frames = sum(len(stream.generate_block()) for _ in range(count))
    return {"engine frames/s": frames / (time.perf_counter() - started)}


def main() -> None:
    """Read the command line and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--weights", type=Path, help="default: the shipped ones")
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--only-adherence", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    engine = load_tiny(folder=given.weights)
    rates = adherence(engine, given.pairs, seed=1)
    if not given.only_adherence:
        rates |= reconstruction(engine, given.pairs, seed=6)
        half, few = max(1, given.pairs // 2), max(1, given.pairs // 20)
        rates |= steering(engine, half, seed=2)
        rates |= endurance(engine, few, 100, seed=3)
        rates |= start_frames(engine, half, seed=4)
        rates |= live_input(engine, half, seed=5)
        rates |= speed(engine)
    for name, rate in rates.items():
        print(f"| {name} | {rate:.1f} |" if rate > 1 else f"| {name} | {100 * rate:.0f} % |")


if __name__ == "__main__":
    main()
