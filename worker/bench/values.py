"""Values of the benches' options, read from text; each raises `argparse.ArgumentTypeError`."""

from __future__ import annotations

import argparse
import math

from framewire.protocol.limits import MAX_SIDE, MIN_SIDE


def size_of(text: str) -> tuple[int, int]:
    """`832x480` as (832, 480)."""
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r}: expected WIDTHxHEIGHT, such as 832x480")
    size = int(width), int(height)
    if min(size) < MIN_SIDE or max(size) > MAX_SIDE:
        raise argparse.ArgumentTypeError(
            f"{text!r}: expected {MIN_SIDE} to {MAX_SIDE} pixels a side, as params have them"
        )
    return size


def count_of(text: str) -> int:
    """How many of something."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return int(text)


def positive_of(text: str) -> float:
    """How much of something."""
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r}: expected a number above 0")
    return number
