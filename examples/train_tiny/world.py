"""The synthetic world that the tiny model knows: shapes of named colours that move over backgrounds.

Owns what exists in it, how it moves and how it is drawn, and which combinations training never
sees. Knows no caption and no network. Everything follows from a numpy generator, so from a seed.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT = 160, 96
COLOURS: dict[str, tuple[int, int, int]] = {
    "red": (220, 35, 40),
    "green": (40, 190, 60),
    "blue": (50, 85, 235),
    "yellow": (245, 225, 50),
    "purple": (165, 50, 200),
    "orange": (250, 140, 25),
    "white": (245, 245, 245),
    "cyan": (60, 215, 225),
}
SHAPES = ("circle", "square", "triangle", "star", "ring")
DIRECTIONS: dict[str, tuple[int, int]] = {
    "left": (-1, 0),
    "right": (1, 0),
    "up": (0, -1),
    "down": (0, 1),
}
MOTIONS = (*DIRECTIONS, "bouncing", "circling", "pulsing", "still")
BACKGROUNDS = ("black", "grey", "night", "stripes", "checkerboard", "meadow", "sunset", "sea")
SIZES = {"small": 15.0, "normal": 20.0, "large": 26.0}
SPEEDS = {"slow": 2.0, "normal": 3.0, "fast": 4.0}
CIRCLE_RADIUS = 20.0
PULSE_FRAMES = 24
START_ROW, START_COLUMNS = 2, (2, 7)
"""Where on the grid of 16 pixels a stream's first thing is at first: as far apart as can be."""
HELD_OUT_OF = 10
"""One combination in so many is never drawn in training."""

Frames = NDArray[np.uint8]


@dataclass(frozen=True)
class Thing:
    """One object: the words that describe it."""

    colour: str
    shape: str
    motion: str
    size: str = "normal"
    speed: str = "normal"


@dataclass(frozen=True)
class Scene:
    """What is to be seen from one frame on."""

    things: tuple[Thing, ...]
    background: str

    @property
    def held_out(self) -> bool:
        """Whether any of its combinations is kept from training."""
        return any(is_held_out(t.colour, t.shape, t.motion, self.background) for t in self.things)


@dataclass
class Body:
    """Where a thing is: centre, phase of its circle or pulse, and direction of its bounce."""

    x: float
    y: float
    phase: float = 0.0
    vx: float = 1.0
    vy: float = 1.0
    radius: float = 0.0

    def step(self, thing: Thing) -> None:
        """Move on by one frame. The world is a torus: what leaves on one side enters opposite."""
        base, speed = SIZES[thing.size], SPEEDS[thing.speed]
        self.radius = base
        if thing.motion in DIRECTIONS:
            dx, dy = DIRECTIONS[thing.motion]
            self.x, self.y = self.x + speed * dx, self.y + speed * dy
        elif thing.motion == "bouncing":
            self._bounce(base, speed / math.sqrt(2))
        elif thing.motion == "circling":
            self.phase += speed / CIRCLE_RADIUS
            self.x += speed * math.cos(self.phase)
            self.y += speed * math.sin(self.phase)
        elif thing.motion == "pulsing":
            self.phase += 2 * math.pi / PULSE_FRAMES
            self.radius = base * (1 + 0.3 * math.sin(self.phase))
        self.x, self.y = self.x % WIDTH, self.y % HEIGHT

    def _bounce(self, margin: float, speed: float) -> None:
        self.x, self.y = self.x + speed * self.vx, self.y + speed * self.vy
        if self.x < margin or self.x > WIDTH - margin:
            self.vx = 1.0 if self.x < margin else -1.0
        if self.y < margin or self.y > HEIGHT - margin:
            self.vy = 1.0 if self.y < margin else -1.0


def is_held_out(colour: str, shape: str, motion: str, background: str) -> bool:
    """Whether training never draws this combination."""
    return zlib.crc32(f"{colour}|{shape}|{motion}|{background}".encode()) % HELD_OUT_OF == 0


def random_scene(rng: np.random.Generator, things: int = 1, *, held_out: bool = False) -> Scene:
    """A scene of that many things; its first one is held out, or none of them is."""
    while True:
        scene = Scene(tuple(random_thing(rng) for _ in range(things)), _pick(rng, BACKGROUNDS))
        if scene.held_out == held_out:
            return scene


def random_thing(rng: np.random.Generator) -> Thing:
    """A thing with every property drawn evenly; sizes and speeds are mostly normal."""
    uncommon = (0.2, 0.6, 0.2)
    return Thing(
        _pick(rng, tuple(COLOURS)),
        _pick(rng, SHAPES),
        _pick(rng, MOTIONS),
        tuple(SIZES)[rng.choice(3, p=uncommon)],
        tuple(SPEEDS)[rng.choice(3, p=uncommon)],
    )


def changed_scene(rng: np.random.Generator, scene: Scene) -> Scene:
    """The scene with one or more properties of its things, or its background, drawn anew."""
    while True:
        things = list(scene.things)
        background = scene.background
        for name in ("colour", "shape", "motion", "background"):
            if rng.random() < 0.5:
                continue
            if name == "background":
                background = _pick(rng, BACKGROUNDS)
            else:
                which = int(rng.integers(len(things)))
                other = getattr(random_thing(rng), name)
                things[which] = replace(things[which], **{name: other})
        changed = Scene(tuple(things), background)
        if changed != scene and not changed.held_out:
            return changed


def place(rng: np.random.Generator, scene: Scene, column: int | None = None) -> list[Body]:
    """Bodies before their first step: anywhere and anyhow, or as at the start of a stream.

    Args:
        column: of the first thing at the start of a stream, one of `START_COLUMNS`. Phases and
            bounces are at their beginning then, so that nothing is left to chance.
    """
    bodies = []
    for index, _ in enumerate(scene.things):
        if column is None:
            body = Body(rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT))
            body.phase = rng.uniform(0, 2 * math.pi)
            body.vx, body.vy = rng.choice((-1.0, 1.0), 2)
        else:  # later things are apart from the first one
            body = Body(16.0 * ((column + 4 * index) % (WIDTH // 16)) + 8, 16.0 * START_ROW + 8)
        bodies.append(body)
    return bodies


@dataclass
class Track:
    """The bodies' course: [T, things] each."""

    x: NDArray[np.float64]
    y: NDArray[np.float64]
    radius: NDArray[np.float64]


def simulate(scenes: Sequence[Scene], bodies: list[Body]) -> Track:
    """Move bodies through one scene a frame; the scenes have as many things as there are bodies."""
    course = np.zeros((3, len(scenes), len(bodies)))
    for frame, scene in enumerate(scenes):
        for index, (thing, body) in enumerate(zip(scene.things, bodies, strict=True)):
            body.step(thing)
            course[:, frame, index] = body.x, body.y, body.radius
    return Track(*course)


def draw(scenes: Sequence[Scene], track: Track) -> Frames:
    """Draw the frames [T, HEIGHT, WIDTH, 3], later things over earlier ones."""
    frames = np.stack([background_picture(scene.background) for scene in scenes])
    for frame, scene in enumerate(scenes):
        for index, thing in enumerate(scene.things):
            _paint(
                frames[frame],
                thing,
                track.x[frame, index],
                track.y[frame, index],
                track.radius[frame, index],
            )
    return frames


def shape_mask(
    shape: str, x: float, y: float, radius: float, swollen: float = 0.0
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """The rows, columns (on the torus) and coverage [rows, columns] of a shape.

    Args:
        swollen: pixels by which its outline lies outside.
    """
    reach = math.ceil(radius * _EXTENT) + 1
    rows = np.arange(math.floor(y) - reach, math.floor(y) + reach + 1)
    columns = np.arange(math.floor(x) - reach, math.floor(x) + reach + 1)
    cells = _ATLAS / (2 * _EXTENT)
    v = np.clip(((rows + 0.5 - y) / radius + _EXTENT) * cells, 0, _ATLAS - 1).astype(np.int64)
    u = np.clip(((columns + 0.5 - x) / radius + _EXTENT) * cells, 0, _ATLAS - 1).astype(np.int64)
    distance = _atlas(shape)[v[:, None], u[None, :]] * np.float32(radius)
    return rows % HEIGHT, columns % WIDTH, np.clip(0.5 + np.float32(swollen) - distance, 0, 1)


def _paint(frame: Frames, thing: Thing, x: float, y: float, radius: float) -> None:
    rows, columns, alpha = shape_mask(thing.shape, x, y, radius)
    where = np.ix_(rows, columns)
    under = frame[where].astype(np.float32)
    colour = np.array(COLOURS[thing.colour], np.float32)
    frame[where] = np.rint(under + alpha[..., None] * (colour - under)).astype(np.uint8)


_ATLAS = 384
_EXTENT = 1.5


@lru_cache
def _atlas(shape: str) -> NDArray[np.float32]:
    """Signed distance to the outline of a shape of radius 1, negative inside, [384, 384]."""
    axis = ((np.arange(_ATLAS) + 0.5) / _ATLAS * 2 - 1) * _EXTENT
    x, y = np.meshgrid(axis, axis)
    if shape == "circle":
        return (np.hypot(x, y) - 1).astype(np.float32)
    if shape == "ring":
        return (np.abs(np.hypot(x, y) - 0.85) - 0.27).astype(np.float32)
    if shape == "square":
        return (np.maximum(np.abs(x), np.abs(y)) - 0.92).astype(np.float32)
    if shape == "triangle":
        turns = np.array([-0.25, 1 / 12, 5 / 12])
        return _polygon(x, y, np.stack([_circle(turns, 1.35)])[0], shift=0.2)
    turns = -0.25 + np.arange(10) / 10
    radii = np.where(np.arange(10) % 2, 0.55, 1.4)
    return _polygon(x, y, _circle(turns, radii), shift=0.0)


def _circle(turns: NDArray[np.float64], radius: float | NDArray[np.float64]) -> NDArray[np.float64]:
    angles = 2 * math.pi * turns
    return np.stack([np.cos(angles) * radius, np.sin(angles) * radius], axis=-1)


def _polygon(
    x: NDArray[np.float64], y: NDArray[np.float64], corners: NDArray[np.float64], shift: float
) -> NDArray[np.float32]:
    """Signed distance to a closed polygon, moved down by `shift`: least distance to an edge."""
    y = y - shift
    nearest = np.full(x.shape, np.inf)
    inside = np.zeros(x.shape, bool)
    for (ax, ay), (bx, by) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        ex, ey = bx - ax, by - ay
        along = np.clip(((x - ax) * ex + (y - ay) * ey) / (ex * ex + ey * ey), 0, 1)
        nearest = np.minimum(nearest, np.hypot(x - ax - along * ex, y - ay - along * ey))
        crosses = (ay > y) != (by > y)
        with np.errstate(divide="ignore", invalid="ignore"):
            inside ^= crosses & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return np.where(inside, -nearest, nearest).astype(np.float32)


@lru_cache
def background_picture(name: str) -> Frames:
    """A background, [HEIGHT, WIDTH, 3]. Patterns repeat every 16 pixels, a token of the model."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    picture = np.zeros((HEIGHT, WIDTH, 3), np.float64)
    if name == "black":
        picture[:] = (14, 14, 16)
    elif name == "grey":
        picture[:] = (118, 118, 122)
    elif name == "night":
        picture[:] = (12, 16, 54)
        picture[np.abs(y % 16 - 4) + np.abs(x % 16 - 4) < 2] = (230, 230, 200)
        picture[(y % 16 // 2 == 6) & (x % 16 // 2 == 6)] = (140, 145, 190)
    elif name == "stripes":
        picture[:] = np.where((y % 16 < 8)[..., None], (30, 88, 92), (96, 150, 146))
    elif name == "checkerboard":
        picture[:] = np.where(((y // 8 + x // 8) % 2)[..., None], (52, 48, 46), (168, 160, 150))
    elif name == "meadow":
        blade = (y % 8 < 5) & ((x + y // 8 * 4) % 8 == 2)
        picture[:] = np.where(blade[..., None], (74, 116, 48), (38, 78, 32))
    elif name == "sunset":
        part = (y / (HEIGHT - 1))[..., None]
        picture[:] = (1 - part) * np.array((52, 28, 88)) + part * np.array((186, 96, 92))
    elif name == "sea":
        crest = (y + np.rint(2 * np.sin(x * math.pi / 8))) % 16 < 3
        picture[:] = np.where(crest[..., None], (60, 120, 150), (14, 58, 104))
    else:
        raise ValueError(f"no such background: {name!r}, known are {', '.join(BACKGROUNDS)}")
    return picture.astype(np.uint8)


def _pick(rng: np.random.Generator, names: Sequence[str]) -> str:
    return names[int(rng.integers(len(names)))]
