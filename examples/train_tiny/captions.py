"""Captions of scenes: synonyms, varied word order, words left out.

Owns the grammar, and so every word that the text encoder can know. Knows no picture.
"""

import re

import numpy as np
from train_tiny.world import Scene, Thing

_COLOUR_WORDS = {
    "red": ("red", "red", "crimson", "scarlet"),
    "green": ("green", "green", "emerald"),
    "blue": ("blue", "blue", "azure"),
    "yellow": ("yellow", "yellow", "golden"),
    "purple": ("purple", "purple", "violet", "magenta"),
    "orange": ("orange", "orange", "tangerine"),
    "white": ("white", "white", "snowy"),
    "cyan": ("cyan", "cyan", "turquoise"),
}
_SHAPE_WORDS = {
    "circle": ("circle", "circle", "disc", "ball", "dot"),
    "square": ("square", "square", "box", "block"),
    "triangle": ("triangle", "triangle", "pyramid"),
    "star": ("star", "star", "pentagram"),
    "ring": ("ring", "ring", "hoop", "donut"),
}
_GOING = ("moving", "moving", "going", "drifting", "flying", "sliding", "gliding", "moves", "flies")
_MOTION_WORDS = {
    "left": ("{go} left", "{go} left", "{go} to the left", "{go} leftwards", "leftwards"),
    "right": ("{go} right", "{go} right", "{go} to the right", "{go} rightwards", "rightwards"),
    "up": ("{go} up", "{go} up", "{go} upwards", "rising", "climbing"),
    "down": ("{go} down", "{go} down", "{go} downwards", "falling", "sinking"),
    "bouncing": ("bouncing", "bouncing", "bouncing around", "that bounces", "ricocheting"),
    "circling": ("circling", "circling", "{go} in circles", "orbiting", "that circles"),
    "pulsing": ("pulsing", "pulsing", "growing and shrinking", "throbbing", "that pulses"),
    "still": ("standing still", "at rest", "not moving", "motionless", "that stays still"),
}
_BACKGROUND_WORDS = {
    "black": ("a black background", "black", "darkness", "a plain black background"),
    "grey": ("a grey background", "grey", "a gray background", "a plain grey background"),
    "night": ("a night sky", "a night sky", "the night sky", "a starry night", "outer space"),
    "stripes": ("stripes", "a striped background", "a striped wall", "horizontal stripes"),
    "checkerboard": ("a checkerboard", "a chessboard", "a checkered floor", "checks"),
    "meadow": ("a meadow", "a green meadow", "green hills", "a meadow", "grass", "a lawn"),
    "sunset": ("a sunset", "a sunset sky", "the evening sky", "dusk"),
    "sea": ("the sea", "the ocean", "waves", "water"),
}
_OVER = ("over", "over", "on", "in front of", "against", "above", "across")
_SIZE_WORDS = {"small": ("small", "little", "tiny"), "large": ("large", "big", "huge")}
_SPEED_WORDS = {"slow": ("slowly",), "fast": ("fast", "quickly")}
_WITHOUT_PACE = ("still", "pulsing")
_ARTICLES = ("a", "a", "one", "the")
_ORDERS = (
    "{things} {over} {place}",
    "{things} {over} {place}",
    "{over} {place}, {things}",
    "{things}, {place}",
    "{place}: {things}",
    "a video of {things} {over} {place}",
)
_WORD = re.compile(r"[a-z]+")


def words(text: str) -> list[str]:
    """A text's words, lower case."""
    return _WORD.findall(text.lower())


def vocabulary() -> list[str]:
    """Every word that a caption can hold, sorted."""
    groups = (_COLOUR_WORDS, _SHAPE_WORDS, _MOTION_WORDS, _BACKGROUND_WORDS, _SIZE_WORDS)
    texts = [phrase for group in groups for phrases in group.values() for phrase in phrases]
    texts += [phrase for phrases in _SPEED_WORDS.values() for phrase in phrases]
    texts += [*_OVER, *_ARTICLES, *_GOING, "a video of", "and", "that is", "thing", "shape"]
    return sorted({word for text in texts for word in words(text.replace("{go}", ""))})


def caption(
    scene: Scene,
    rng: np.random.Generator,
    *,
    left_out: float = 0.0,
    instead_of: Scene | None = None,
) -> str:
    """One of the scene's captions.

    Args:
        left_out: the chance of every property to go unmentioned.
        instead_of: the scene before this one, with as many things; what differs from it is
            always mentioned.
    """
    olds = scene.things if instead_of is None else instead_of.things
    pairs = zip(scene.things, olds, strict=True)
    things = " and ".join(_thing(thing, old, rng, left_out) for thing, old in pairs)
    same_place = instead_of is None or instead_of.background == scene.background
    if same_place and rng.random() < left_out:
        return things
    place, over = _one(rng, _BACKGROUND_WORDS[scene.background]), _one(rng, _OVER)
    return _one(rng, _ORDERS).format(things=things, place=place, over=over)


def plain_caption(scene: Scene) -> str:
    """The caption in its plainest words, such as `a red circle moving right over a night sky`."""
    phrases = []
    for thing in scene.things:
        size = f"{thing.size} " if thing.size != "normal" else ""
        motion = _MOTION_WORDS[thing.motion][0].format(go="moving")
        paced = thing.speed in _SPEED_WORDS and thing.motion not in _WITHOUT_PACE
        pace = f" {_SPEED_WORDS[thing.speed][0]}" if paced else ""
        phrases.append(f"a {size}{thing.colour} {thing.shape} {motion}{pace}")
    return f"{' and '.join(phrases)} over {_BACKGROUND_WORDS[scene.background][0]}"


def _thing(thing: Thing, old: Thing, rng: np.random.Generator, left_out: float) -> str:
    changed = (thing.colour != old.colour, thing.shape != old.shape, thing.motion != old.motion)
    said = (rng.random(3) >= left_out) | changed
    colour = _one(rng, _COLOUR_WORDS[thing.colour]) if said[0] else ""
    shape = _one(rng, _SHAPE_WORDS[thing.shape] if said[1] else ("thing", "shape"))
    size = _one(rng, _SIZE_WORDS[thing.size]) if thing.size in _SIZE_WORDS else ""
    if rng.random() < 0.12 and colour:
        noun = f"{size} {shape} that is {colour}"
    else:
        noun = f"{size} {colour} {shape}"
    motion = _motion(thing, rng) if said[2] else ""
    return " ".join(f"{_one(rng, _ARTICLES)} {noun} {motion}".split())


def _motion(thing: Thing, rng: np.random.Generator) -> str:
    motion = _one(rng, _MOTION_WORDS[thing.motion]).format(go=_one(rng, _GOING))
    if thing.speed not in _SPEED_WORDS or thing.motion in _WITHOUT_PACE:
        return motion
    pace = _one(rng, _SPEED_WORDS[thing.speed])
    return f"{motion} {pace}" if rng.random() < 0.5 else f"{pace} {motion}"


def _one(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
