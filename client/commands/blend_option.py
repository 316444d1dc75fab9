"""`--blend TEXT=WEIGHT`: what is shown together with the prompt of a command line."""

from __future__ import annotations

import argparse


def parse_weighted(text: str) -> tuple[str, float]:
    """`a robot=0.5`: a text, and what it weighs where the prompt weighs 1.

    Raises:
        ValueError: it is neither.
    """
    shown, equals, number = text.rpartition("=")
    try:
        weight = float(number)
    except ValueError:
        weight = -1.0
    if not equals or not shown.strip() or not weight >= 0:
        raise ValueError(f"{text!r}: expected TEXT=WEIGHT, such as 'a robot=0.5'; PROMPT weighs 1")
    return shown, weight


def prompts_of(options: argparse.Namespace) -> list[tuple[str, float]] | None:
    """The prompt and what is blended with it; None where it is alone."""
    if not options.blend or options.prompt is None:
        return None
    return [(options.prompt, 1.0), *options.blend]
