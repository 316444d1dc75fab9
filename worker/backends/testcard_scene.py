"""The pixels of one test card: background, moving shape and text, made once, painted per frame.

Knows no session: a `Scene` is immutable, and a frame is a function of it and the frame index.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from .base import Picture, Settings
from .testcard_look import Colour, Look, look_of

_INK: Colour = (250, 250, 250)
_PAPER: Colour = (18, 18, 22)
_WAVE = 36.0
"""How far the background's waves reach above and below the gradient, in 8-bit levels."""
_GRAIN = 28.0
"""Grain of a one-step picture in 8-bit levels; n steps leave an n-th of it."""
_ROWS = 48
"""Rows blended at a time, so that the 16-bit intermediates stay in the cache."""
_MOST_SPRITES = 4


@dataclass(frozen=True, slots=True)
class Sprite:
    """A shape, premultiplied: a pixel becomes `(pixel * keep + ink) >> 8`."""

    ink: NDArray[np.uint16]  # [S, S, 3]
    keep: NDArray[np.uint16]  # [S, S, 1]
    start: int  # pixels along the way at frame 0
    direction: tuple[int, int]


@dataclass(frozen=True, slots=True)
class Scene:
    """What one prompt (or a mix of two) looks like at one size."""

    background: Picture  # [H, W, 3], seamless in the direction that it moves
    direction: tuple[int, int]
    sprites: tuple[Sprite, ...]
    caption: Picture  # [h, W, 3], the strip at the top
    footer: Picture  # [h, W, 3], the strip at the bottom, without its numbers

    def paint(self, index: int, out: Picture) -> None:
        """Draw frame `index` without its text on `out` [H, W, 3]."""
        _scroll(self.background, self.direction, index, out)
        for sprite in self.sprites:
            _stamp(sprite, index, out)

    def write(self, index: int, block: int, out: Picture) -> None:
        """Write the prompt, the frame's and the block's number on `out` [H, W, 3]."""
        rows, width = self.caption.shape[:2]
        out[:rows] = self.caption
        strip = out[out.shape[0] - rows :]
        strip[:] = self.footer
        glyphs = _glyphs(rows)
        pieces = ["frame", *str(index), "block", *str(block)]
        x = rows // 4
        for piece in pieces:
            glyph = glyphs[piece][:, : max(0, width - x)]
            strip[:, x : x + glyph.shape[1]] = glyph
            x += glyph.shape[1]


def scene_of(prompt: str, settings: Settings) -> Scene:
    """The scene of `prompt` at the size, seed and steps of `settings`."""
    look = look_of(prompt)
    steps = settings.denoising_steps or (settings.num_denoising_steps,)
    count = len(steps) if settings.denoising_steps else settings.num_denoising_steps
    random = _random(prompt, settings.seed, steps)
    width, height = settings.width, settings.height
    rows = max(10, height // 14)
    facts = f"seed {settings.seed}, {count} steps, {width}x{height}"
    return Scene(
        background=_background(look, width, height, count, random),
        direction=look.direction,
        sprites=(_sprite(look, width, height, _random(settings.seed)),),
        caption=_strip(prompt, width, rows, right=False),
        footer=_strip(facts, width, rows, right=True),
    )


def scene_of_blend(parts: Sequence[tuple[str, float]], settings: Settings) -> Scene:
    """The scenes of texts, mixed by weights that sum to 1; the heaviest one's words and movement."""
    by_weight = sorted(parts, key=lambda part: part[1])
    text, total = by_weight[0]
    scene = scene_of(text, settings)
    for text, weight in by_weight[1:]:
        total += weight
        scene = mixed(scene, scene_of(text, settings), weight / total)
    return scene


def mixed(old: Scene, new: Scene, weight: float) -> Scene:
    """The scene `weight` of the way (0 to 1) from `old` to `new`; its caption is the new one's."""
    background = np.empty_like(new.background)
    blend(new.background, old.background, weight, background)
    fading = tuple(_faded(sprite, 1 - weight) for sprite in old.sprites)
    coming = tuple(_faded(sprite, weight) for sprite in new.sprites)
    return replace(new, background=background, sprites=(fading + coming)[-_MOST_SPRITES:])


def blend(top: Picture, under: Picture, weight: float, out: Picture) -> None:
    """`out = weight * top + (1 - weight) * under`, in steps of 1/256; `out` may be either."""
    above = np.uint16(round(weight * 256))
    below = np.uint16(256 - above)
    shape = (_ROWS, *top.shape[1:])
    first, second = np.empty(shape, np.uint16), np.empty(shape, np.uint16)
    for row in range(0, top.shape[0], _ROWS):
        rows = slice(row, row + _ROWS)
        count = top[rows].shape[0]
        np.multiply(top[rows], above, out=first[:count])
        np.multiply(under[rows], below, out=second[:count])
        np.add(first[:count], second[:count], out=first[:count])
        np.right_shift(first[:count], 8, out=first[:count])
        out[rows] = first[:count]


def _random(*of: object) -> np.random.Generator:
    """A generator seeded by every one of `of`."""
    return np.random.default_rng(list(blake2b(repr(of).encode(), digest_size=16).digest()))


def _background(
    look: Look, width: int, height: int, steps: int, random: np.random.Generator
) -> Picture:
    """Gradient, waves and grain. The seed shifts the waves and draws the grain."""
    across, down = look.cycles
    phase = random.uniform(0, 2 * np.pi, 2)
    x = np.sin(np.arange(width) * (2 * np.pi * across / width) + phase[0])  # [W]
    y = np.sin(np.arange(height) * (2 * np.pi * down / height) + phase[1])  # [H]
    grain = random.uniform(-1, 1, (-(-height // 4), -(-width // 4)))
    coarse = grain.repeat(4, axis=0).repeat(4, axis=1)[:height, :width]
    light = (_WAVE * np.outer(y, x) + _GRAIN / steps * coarse).astype(np.float32)  # [H, W]
    # Up and back down again, so that a background that moves vertically has no seam.
    ramp = 1 - np.abs(np.linspace(-1, 1, height, dtype=np.float32))[:, None]
    picture = np.empty((height, width, 3), np.uint8)
    for channel, (top, bottom) in enumerate(zip(look.top, look.bottom, strict=True)):
        picture[..., channel] = np.clip(bottom + (top - bottom) * ramp + light, 0, 255)
    return picture


def _sprite(look: Look, width: int, height: int, random: np.random.Generator) -> Sprite:
    side = max(8, min(width, height) // 3)
    mask = Image.new("L", (side * 4, side * 4))
    draw = ImageDraw.Draw(mask)
    last = side * 4 - 1
    if look.shape == "circle":
        draw.ellipse((0, 0, last, last), fill=255)
    elif look.shape == "square":
        draw.rectangle((0, 0, last, last), fill=255)
    else:
        draw.polygon([(last // 2, 0), (last, last), (0, last)], fill=255)
    cover = np.asarray(mask.reduce(4), np.uint16)[..., None]
    cover += cover >> 7  # 255 -> 256, so that the inside is exactly the colour
    ink = cover * np.array(look.accent, np.uint16)
    start = int(random.integers(side, width + height))
    return Sprite(ink, np.uint16(256) - cover, start, look.direction)


def _faded(sprite: Sprite, weight: float) -> Sprite:
    """`sprite` with `weight` of its cover."""
    part = np.uint32(round(weight * 256))
    ink = ((sprite.ink * part) >> np.uint32(8)).astype(np.uint16)
    cover = ((np.uint32(256) - sprite.keep) * part) >> np.uint32(8)
    return replace(sprite, ink=ink, keep=(np.uint32(256) - cover).astype(np.uint16))


def _scroll(tile: Picture, direction: tuple[int, int], index: int, out: Picture) -> None:
    """Copy `tile`, moved by `index` frames, wrapping around."""
    height, width = tile.shape[:2]
    x, y = direction
    if x:
        by = x * index * max(1, width // 416) % width
        out[:, by:] = tile[:, : width - by]
        out[:, :by] = tile[:, width - by :]
    else:
        by = y * index * max(1, height // 240) % height
        out[by:] = tile[: height - by]
        out[:by] = tile[height - by :]


def _stamp(sprite: Sprite, index: int, out: Picture) -> None:
    """Draw the shape where it is at frame `index`: in from one edge, out at the other."""
    height, width = out.shape[:2]
    side = sprite.ink.shape[0]
    x, y = sprite.direction
    length, breadth = (width, height) if x else (height, width)
    along = (sprite.start + index * max(1, length // 104)) % (length + side) - side
    if x + y < 0:
        along = length - side - along
    across = (breadth - side) // 2
    left, top = (along, across) if x else (across, along)
    rows = slice(max(0, top), min(height, top + side))
    columns = slice(max(0, left), min(width, left + side))
    part = (
        slice(rows.start - top, rows.stop - top),
        slice(columns.start - left, columns.stop - left),
    )
    region = out[rows, columns]
    region[:] = (region * sprite.keep[part] + sprite.ink[part]) >> np.uint16(8)


def _strip(text: str, width: int, rows: int, *, right: bool) -> Picture:
    """One line of text on a dark strip [rows, width, 3], shortened where it is too long."""
    font = _font(rows)
    line = " ".join(text.split())
    edge = rows // 4
    room: float = width - 2 * edge
    if font.getlength(line) > room:
        room -= font.getlength("...")
        fits = bisect_right(range(len(line)), room, key=lambda count: font.getlength(line[:count]))
        line = line[: max(0, fits - 1)].rstrip() + "..."
    image = Image.new("RGB", (width, rows), _PAPER)
    x = width - edge if right else edge
    ImageDraw.Draw(image).text((x, rows // 2), line, _INK, font, "rm" if right else "lm")
    return np.array(image)


@lru_cache(maxsize=16)
def _glyphs(rows: int) -> dict[str, Picture]:
    """What the numbers are written with: digits [rows, w, 3] of one width, and two labels."""
    font = _font(rows)
    digits = "0123456789"
    widths = dict.fromkeys(digits, max(font.getlength(digit) for digit in digits))
    widths |= {label: font.getlength(f" {label}  ") for label in ("frame", "block")}
    glyphs = {}
    for piece, width in widths.items():
        image = Image.new("RGB", (round(width), rows), _PAPER)
        ImageDraw.Draw(image).text((width / 2, rows // 2), piece, _INK, font, "mm")
        glyphs[piece] = np.array(image)
    return glyphs


def _font(rows: int) -> ImageFont.FreeTypeFont:
    font = ImageFont.load_default(max(7, rows * 13 // 20))
    assert isinstance(font, ImageFont.FreeTypeFont)
    return font
