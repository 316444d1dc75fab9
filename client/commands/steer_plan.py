"""The `WHEN=PROMPT` grammar of the command line, and the changes that it asks for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from framewire.client.timeline.moves import Cue

Unit = Literal["s", "f", "b"]

_WHEN = re.compile(r"(\d+(?:\.\d+)?)([sfb])")


@dataclass(frozen=True, slots=True)
class PlannedSteer:
    """One `WHEN=PROMPT`: seconds of the video, a frame's index, or a block's."""

    when: float
    unit: Unit
    prompt: str

    def __str__(self) -> str:
        return f"{self.when:g}{self.unit}"


def parse_steer(text: str) -> PlannedSteer:
    """`2.5s=PROMPT` (into the video), `30f=PROMPT` (from frame 30), `4b=PROMPT` (from block 4).

    Raises:
        ValueError: it is none of these.
    """
    when, equals, prompt = text.partition("=")
    match = _WHEN.fullmatch(when.strip().lower())
    if not equals or not match or not prompt.strip():
        raise ValueError(f"{text!r}: expected 2.5s=PROMPT, 30f=PROMPT or 4b=PROMPT")
    number, unit = float(match[1]), match[2]
    if unit != "s" and not number.is_integer():
        raise ValueError(f"{text!r}: frames and blocks are whole numbers")
    return PlannedSteer(number, unit, prompt)  # type: ignore[arg-type]


def place_of(text: str) -> PlannedSteer | None:
    """`2.5s`, `30f` or `4b` alone, as a steer without a prompt; None of what is something else."""
    match = _WHEN.fullmatch(text.strip().lower())
    if not match or (match[2] != "s" and not float(match[1]).is_integer()):
        return None
    return PlannedSteer(float(match[1]), match[2], "")  # type: ignore[arg-type]


def cue_of(steer: PlannedSteer, fps: float) -> Cue:
    """The change at its place; at once there, not over some blocks.

    Args:
        fps: frames a second of the video, by which seconds become frames.
    """
    at = round(steer.when * fps) if steer.unit == "s" else int(steer.when)
    values = {"prompt": steer.prompt, "interp_steps": 1}
    return Cue(at, "b" if steer.unit == "b" else "f", values, str(steer))
