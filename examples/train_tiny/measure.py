"""What a video shows, measured by its pixels: background, and colour, shape and course of a thing.

Owns the measures that tests and the model card use, for one thing at a time. They compare with the
world's own pictures and never look at a prompt.
"""

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from train_tiny.world import (
    BACKGROUNDS,
    COLOURS,
    HEIGHT,
    SHAPES,
    WIDTH,
    Frames,
    background_picture,
    shape_mask,
)

THING_DISTANCE = 50.0
"""How far in RGB a pixel's neighbourhood is from the background where there is a thing."""
LEAST_PIXELS = 60
LEAST_SPEED = 0.7
"""Pixels a frame, below which a thing stands still."""

_SCALES = (0.82, 0.88, 0.94, 1.0, 1.06)
_SWOLLEN = (0.0, 2.0)
"""Pixels by which an outline may lie outside, as a soft decoder's do."""
_SHIFTS = (-2, 0, 2)

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Seen:
    """What a stretch of video shows; None where there is nothing to be seen.

    Attributes:
        velocity: of the thing's middle, pixels a frame, right and down.
        middle: of the thing in the first frame, x and y.
        area: pixels of the thing, averaged over the frames.
    """

    background: str
    colour: str | None
    shape: str | None
    direction: str | None
    velocity: tuple[float, float] | None
    middle: tuple[float, float] | None
    area: float


def look(frames: Frames) -> Seen:
    """Measure frames uint8 [T, HEIGHT, WIDTH, 3] of one scene with one thing, T >= 2."""
    background = background_of(frames)
    masks = thing_masks(frames, background)
    there = masks.sum(axis=(1, 2)) >= LEAST_PIXELS
    area = float(masks.sum(axis=(1, 2)).mean())
    if there.mean() < 0.6:
        return Seen(background, None, None, None, None, None, area)
    middles = np.array([middle_of(mask) for mask in masks[there]])
    velocity = _velocity(middles, np.flatnonzero(there))
    colour = colour_of(frames[there], masks[there])
    return Seen(
        background,
        colour,
        shape_of(coverage(frames, background, colour, masks)[there], masks[there]),
        _direction(*velocity),
        velocity,
        (float(middles[0, 0]), float(middles[0, 1])),
        area,
    )


def background_of(frames: Frames) -> str:
    """The background nearest to the frames, the least fitting third of every frame set aside."""
    pictures = frames[:: max(1, len(frames) // 4)].astype(np.float32)
    errors = {}
    for name in BACKGROUNDS:
        error = np.abs(pictures - background_picture(name)).mean(axis=-1).reshape(len(pictures), -1)
        kept = error.shape[1] * 2 // 3
        errors[name] = float(np.partition(error, kept, axis=1)[:, :kept].mean())
    return min(errors, key=lambda name: errors[name])


def thing_masks(frames: Frames, background: str) -> Mask:
    """Where the frames, averaged over 3x3 pixels, differ from a background: bool [T, H, W]."""
    difference = _smooth(frames.astype(np.float32) - background_picture(background))
    far = np.linalg.norm(difference, axis=-1) > THING_DISTANCE
    mask: Mask = far & (_around(far) > 0.35)  # specks are no things
    return mask


def coverage(frames: Frames, background: str, colour: str, masks: Mask) -> NDArray[np.float32]:
    """How much of each pixel in or near a mask is of a named colour, 0-1: [T, H, W]."""
    behind = background_picture(background).astype(np.float32)
    way = np.array(COLOURS[colour], np.float32) - behind  # [H, W, 3]
    part = ((frames - behind) * way).sum(axis=-1) / (way * way).sum(axis=-1)
    # Twice as steep as it is, since a decoder's edges are softer than the world's.
    covered: NDArray[np.float32] = np.clip(2 * part - 0.5, 0, 1) * (_around(masks) > 0.05)
    return covered


def colour_of(frames: Frames, masks: Mask) -> str:
    """The named colour nearest to most of the pixels well inside the masks."""
    inside = _smooth(masks[..., None].astype(np.float32))[..., 0] > 0.99
    pixels = frames[inside if inside.sum() >= LEAST_PIXELS else masks].astype(np.float32)
    palette = np.array(list(COLOURS.values()), np.float32)
    distance = np.linalg.norm(pixels[:, None] - palette, axis=-1)
    votes = np.bincount(distance.argmin(axis=1), minlength=len(palette))
    return list(COLOURS)[int(votes.argmax())]


def shape_of(covered: NDArray[np.float32], masks: Mask) -> str:
    """The shape that overlaps the coverage most, at the best of many sizes and places."""
    scores = dict.fromkeys(SHAPES, 0.0)
    for index in range(0, len(masks), max(1, len(masks) // 4)):
        centred = _centred(covered[index], masks[index])
        for shape in SHAPES:
            scores[shape] += _overlap(centred, shape)
    return max(scores, key=lambda shape: scores[shape])


def middle_of(mask: Mask) -> tuple[float, float]:
    """The middle of a mask on the torus, x and y: the angle of its mean on a circle."""
    rows, columns = np.nonzero(mask)
    return _circular_mean(columns + 0.5, WIDTH), _circular_mean(rows + 0.5, HEIGHT)


def _velocity(middles: NDArray[np.float64], times: NDArray[np.int64]) -> tuple[float, float]:
    """The slope of a line through the middles, steps taken the short way round."""
    size = np.array([WIDTH, HEIGHT])
    steps = (np.diff(middles, axis=0) + size / 2) % size - size / 2
    path = np.concatenate([[middles[0]], middles[0] + np.cumsum(steps, axis=0)])
    vx, vy = np.polyfit(times, path, 1)[0]
    return float(vx), float(vy)


def _direction(vx: float, vy: float) -> str:
    if math.hypot(vx, vy) < LEAST_SPEED:
        return "still"
    if abs(vx) > abs(vy):
        return "right" if vx > 0 else "left"
    return "down" if vy > 0 else "up"


def _circular_mean(values: NDArray[np.floating[Any]], size: int) -> float:
    mean = np.exp(2j * math.pi * values / size).mean()
    return float(np.angle(mean) / (2 * math.pi) * size % size)


def _centred(x: NDArray[np.float32], mask: Mask) -> NDArray[np.float32]:
    """A square cut of x [H, W] rolled so that a mask's middle is in its middle."""
    column, row = middle_of(mask)
    shift = (round(HEIGHT / 2 - row), round(WIDTH / 2 - column))
    edge = (WIDTH - HEIGHT) // 2
    return np.roll(x, shift, axis=(0, 1))[:, edge : edge + HEIGHT]


def _overlap(centred: NDArray[np.float32], shape: str) -> float:
    """The best overlap (common over united coverage) with a shape of about the same area."""
    area = float(centred.sum())
    best = 0.0
    for scale in _SCALES:
        radius = scale * math.sqrt(max(area, 1.0) / _unit_area(shape))
        for swollen in _SWOLLEN:
            template = _template(shape, min(round(radius * 2) / 2, 40.0), swollen)
            best = max(best, _overlap_with(template, centred, area))
    return best


def _overlap_with(
    template: NDArray[np.float32], centred: NDArray[np.float32], area: float
) -> float:
    best = 0.0
    for dy in _SHIFTS:
        for dx in _SHIFTS:
            moved = np.roll(template, (dy, dx), axis=(0, 1))
            both = float(np.minimum(centred, moved).sum())
            best = max(best, both / (area + float(template.sum()) - both + 1e-6))
    return best


@lru_cache(maxsize=512)
def _template(shape: str, radius: float, swollen: float) -> NDArray[np.float32]:
    middle = (WIDTH / 2, HEIGHT / 2)
    rows, columns, alpha = shape_mask(shape, *middle, max(radius, 4.0), swollen)
    picture = np.zeros((HEIGHT, WIDTH), np.float32)
    picture[np.ix_(rows, columns)] = alpha
    return _centred(picture, picture > 0.5)


@lru_cache
def _unit_area(shape: str) -> float:
    return float(shape_mask(shape, WIDTH / 2, HEIGHT / 2, 24.0)[2].sum()) / 24.0**2


def _around(mask: Mask) -> NDArray[np.float64]:
    """Which part of the 7x7 pixels around each is in a mask [T, H, W], the frame being a torus."""
    sums = sum(
        (np.roll(mask, s, axis=2).astype(np.float32) for s in range(-3, 4)), start=np.zeros(1)
    )
    return sum((np.roll(sums, s, axis=1) for s in range(-3, 4)), start=np.zeros(1)) / 49


def _smooth(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Means of 3x3 pixels of [T, H, W, C], edges repeated."""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    across = padded[:, :, :-2] + padded[:, :, 1:-1] + padded[:, :, 2:]
    means: NDArray[np.float32] = (across[:, :-2] + across[:, 1:-1] + across[:, 2:]) / 9
    return means
