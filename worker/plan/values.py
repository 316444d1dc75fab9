"""Values of the command's options, read from text; what cannot be one is refused in words.

Each raises `argparse.ArgumentTypeError`.
"""

from __future__ import annotations

import argparse
import math
import re

from framewire.protocol import escaped
from framewire.worker.models.catalogue import catalogue
from framewire.worker.models.own import OwnModelError

from .cards import CARDS
from .planning import MAX_VIEWERS

SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
LEAST, MOST = 0.000_001, 1_000_000
"""Viewers, minutes, seconds, dollars or frames: beyond them somebody has mistyped."""


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    return number if math.isfinite(number) else math.nan


def positive_of(text: str) -> float:
    """A number above 0."""
    number = _number(text)
    if not LEAST <= number <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0, up to {MOST:,}")
    return number


def count_of(text: str) -> int:
    """How many of something."""
    if not (text.isascii() and text.isdecimal() and 1 <= int(text) <= MAX_VIEWERS):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a whole number from 1 on")
    return int(text)


def viewers_of(text: str) -> float:
    """How many watch at once."""
    number = _number(text)
    if not LEAST <= number <= MAX_VIEWERS:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected how many watch at once, above 0 and up to {MAX_VIEWERS:,}"
        )
    return number


def percent_of(text: str) -> float:
    """A share of viewers, in percent."""
    number = _number(text)
    if not 0 < number < 100:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a percentage between 0 and 100, such as 95; 100 is never reached"
        )
    return number


def seconds_of(text: str) -> float:
    """A time with its unit, in seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d*)?|\.\d+)(ms|s|m|h)", text, re.ASCII)
    seconds = float(found[1]) * SECONDS[found[2]] if found else math.inf
    if found is None or seconds > MOST:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected a time with its unit, such as 500ms, 5s, 2m or 1h"
        )
    return seconds


def gpu_of(text: str) -> str:
    """The name of a GPU, as `cards.CARDS` has it."""
    if text.lower() not in CARDS:
        raise argparse.ArgumentTypeError(
            f"no GPU {text!r} is known: choose one of {', '.join(CARDS)}; for another leave --gpu "
            "out, and say --price with --bench or --sessions-per-gpu"
        )
    return text.lower()


def preset_of(text: str) -> str:
    """The name of a preset."""
    try:
        known = (*catalogue(), "tiny")
    except OwnModelError as error:
        raise argparse.ArgumentTypeError(escaped(str(error))) from None
    if text not in known:
        raise argparse.ArgumentTypeError(f"no preset {text!r}: choose one of {', '.join(known)}")
    return text
