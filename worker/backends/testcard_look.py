"""What a prompt looks like on the test card: colours, shape and direction from its words.

Words and numbers only; the pixels are made in `testcard_scene`.
"""

from __future__ import annotations

import colorsys
import re
from dataclasses import dataclass
from hashlib import blake2b

Colour = tuple[int, int, int]

_COLOURS: dict[str, Colour] = {
    "amber": (255, 176, 32),
    "black": (16, 16, 18),
    "blue": (32, 72, 220),
    "brown": (120, 72, 36),
    "cyan": (24, 200, 220),
    "gold": (224, 176, 48),
    "gray": (128, 128, 128),
    "green": (36, 160, 60),
    "grey": (128, 128, 128),
    "magenta": (214, 36, 170),
    "navy": (16, 28, 96),
    "orange": (240, 128, 24),
    "pink": (244, 132, 176),
    "purple": (124, 48, 180),
    "red": (214, 36, 36),
    "silver": (188, 192, 200),
    "teal": (20, 132, 132),
    "violet": (144, 84, 220),
    "white": (240, 240, 240),
    "yellow": (236, 208, 40),
    # Times of day, weather and places, so that a demo's prompts look the part.
    "dawn": (244, 164, 140),
    "day": (120, 184, 240),
    "desert": (222, 184, 120),
    "dusk": (112, 80, 136),
    "fire": (232, 84, 20),
    "fog": (176, 184, 188),
    "forest": (28, 92, 44),
    "night": (14, 18, 56),
    "ocean": (16, 96, 148),
    "rain": (84, 100, 120),
    "sea": (16, 96, 148),
    "snow": (226, 234, 244),
    "storm": (62, 70, 88),
    "sunrise": (250, 180, 110),
    "sunset": (244, 108, 72),
}
SHAPES = ("circle", "square", "triangle")
_DIRECTIONS = {"left": (-1, 0), "right": (1, 0), "up": (0, -1), "down": (0, 1)}
_WHITE: Colour = (248, 248, 248)
_BLACK: Colour = (10, 10, 12)


@dataclass(frozen=True, slots=True)
class Look:
    """How one prompt is drawn.

    Attributes:
        top, bottom: the ends of the background's vertical gradient.
        accent: the shape's colour.
        direction: (x, y) in which everything moves, y downwards.
        cycles: waves of the background across the width and down the height.
    """

    top: Colour
    bottom: Colour
    accent: Colour
    shape: str
    direction: tuple[int, int]
    cycles: tuple[int, int]


def look_of(prompt: str) -> Look:
    """The look of `prompt`: its words decide what they name, its hash decides the rest.

    The colour word nearest before a shape word is the shape's; the first two others are the
    background's. A background that nobody names is a dark tone of the shape's colour, or, where
    the prompt names no colour at all, a hue of the hash.
    """
    digest = blake2b(prompt.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    words = re.findall(r"\w+", prompt.lower())
    shape_at = next((at for at, word in enumerate(words) if word in SHAPES), None)
    colours = {at: _COLOURS[word] for at, word in enumerate(words) if word in _COLOURS}
    owner = max((at for at in colours if shape_at is not None and at < shape_at), default=None)
    accent = None if owner is None else colours.pop(owner)
    named = list(colours.values())
    top = named[0] if named else _dark(accent) if accent else _hue(digest[0])
    return Look(
        top=top,
        bottom=named[1] if len(named) > 1 else _dark(top),
        accent=accent or _far_from(top),
        shape=words[shape_at] if shape_at is not None else SHAPES[digest[1] % len(SHAPES)],
        direction=next((_DIRECTIONS[word] for word in words if word in _DIRECTIONS), (1, 0)),
        cycles=(1 + digest[2] % 5, 1 + digest[3] % 4),
    )


def _hue(byte: int) -> Colour:
    red, green, blue = colorsys.hsv_to_rgb(byte / 256, 0.75, 0.8)
    return round(red * 255), round(green * 255), round(blue * 255)


def _dark(colour: Colour) -> Colour:
    red, green, blue = colour
    return red * 5 // 8, green * 5 // 8, blue * 5 // 8


def _far_from(colour: Colour) -> Colour:
    """White or black, whichever stands out; luma weights are those of ITU-R BT.601."""
    red, green, blue = colour
    return _BLACK if 299 * red + 587 * green + 114 * blue > 150_000 else _WHITE
