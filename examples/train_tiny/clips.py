"""Clips to train on: stretches of the world, with what the losses need to know about them.

Owns the kinds of clips (running on, changing at a block's boundary, held still before a start) and
their shares. Knows no network.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from train_tiny.world import (
    HEIGHT,
    START_COLUMNS,
    WIDTH,
    Body,
    Frames,
    Scene,
    background_picture,
    changed_scene,
    draw,
    place,
    random_scene,
    simulate,
)

FIRST_FRAMES, BLOCK_FRAMES = 9, 12
"""Frames of a stream's first block, before any is dropped, and of every later one."""


@dataclass(frozen=True)
class Clip:
    """Two blocks of a stream.

    Attributes:
        frames: uint8 [21, HEIGHT, WIDTH, 3].
        before: what the first block shows; `after`: what the second one shows.
        cells: which latent cells (of 4 frames and 8x8 pixels) a thing touches, bool [6, h, w].
    """

    frames: Frames
    before: Scene
    after: Scene
    cells: NDArray[np.bool_]


def random_clip(rng: np.random.Generator, *, change: bool) -> Clip:
    """From the middle of a stream that is not held out; the second block changes, or doesn't."""
    before = random_scene(rng, _count(rng))
    after = changed_scene(rng, before) if change else before
    if rng.random() < 0.2:  # a start frame, held for a block
        before = Scene(
            tuple(replace(thing, motion="still") for thing in before.things), before.background
        )
    return clip_of(rng, before, after)


def random_starts(rng: np.random.Generator) -> list[Clip]:
    """A scene that is not held out, as streams start with it: from each of the start's places."""
    scene = random_scene(rng, _count(rng))
    return [clip_of(rng, scene, scene, column) for column in START_COLUMNS]


def _count(rng: np.random.Generator) -> int:
    """How many things there are."""
    return int(rng.choice(3, p=(0.82, 0.15, 0.03))) + 1


def clip_of(
    rng: np.random.Generator, before: Scene, after: Scene, column: int | None = None
) -> Clip:
    """A clip of two scenes, one a block.

    Args:
        column: where it starts, if like a stream: see `place`.
    """
    scenes = [before] * FIRST_FRAMES + [after] * BLOCK_FRAMES
    bodies = place(rng, before, column)
    if column is not None:  # on the grid in the middle of the first block
        _rewind(bodies, before)
    track = simulate(scenes, bodies)
    cells = touched_cells(track.x, track.y, track.radius)
    return Clip(draw(scenes, track), before, after, cells)


def _rewind(bodies: list[Body], scene: Scene) -> None:
    """Put bodies where they must start to be where they are now in frame 4."""
    track = simulate([scene] * 5, [replace(body) for body in bodies])
    for index, body in enumerate(bodies):
        body.x = (2 * body.x - track.x[4, index]) % WIDTH
        body.y = (2 * body.y - track.y[4, index]) % HEIGHT


def touched_cells(
    x: NDArray[np.float64], y: NDArray[np.float64], radius: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Latent cells that a thing touches in their frames: [T, things] to bool [1 + T // 4, h, w]."""
    rows = np.arange(HEIGHT // 8)[:, None] * 8 + 4
    columns = np.arange(WIDTH // 8)[None, :] * 8 + 4
    dx = np.abs(columns - x[..., None, None])
    dy = np.abs(rows - y[..., None, None])
    dx, dy = np.minimum(dx, WIDTH - dx), np.minimum(dy, HEIGHT - dy)
    near = (np.hypot(dx, dy) < 1.2 * radius[..., None, None] + 5).any(axis=1)  # [T, h, w]
    later = near[1:].reshape(-1, 4, *near.shape[1:]).any(axis=1)
    return np.concatenate([near[:1], later])


def thing_pixels(frames: Frames, scenes: list[Scene]) -> NDArray[np.bool_]:
    """Pixels that differ from their scene's background, [T, H, W]."""
    behind = np.stack([background_picture(scene.background) for scene in scenes])
    differ: NDArray[np.bool_] = np.abs(frames.astype(np.int16) - behind).max(axis=-1) > 12
    return differ
