"""`--lora [WHEN:]NAME=STRENGTH`: how strong an adapter of the worker's is, from the start or later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from framewire.client.timeline.moves import Cue

from .steer_plan import PlannedSteer, cue_of, place_of

_MOST = 2.0


@dataclass(frozen=True, slots=True)
class PlannedStrength:
    """One `--lora`.

    Attributes:
        when: None from the start.
    """

    name: str
    strength: float
    when: PlannedSteer | None = None


def parse_lora(text: str) -> PlannedStrength:
    """`gold=0.8`, or `4b:gold=0.8` from block 4 on (seconds and frames as for `--steer`).

    Raises:
        ValueError: it is neither.
    """
    before, colon, rest = text.partition(":")
    place = place_of(before) if colon else None
    name, equals, number = (rest if place is not None else text).rpartition("=")
    try:
        strength = float(number)
    except ValueError:
        strength = -1.0
    if not equals or not name.strip() or not 0 <= strength <= _MOST:
        raise ValueError(
            f"{text!r}: expected NAME=STRENGTH or 4b:NAME=STRENGTH, with a strength of 0 to {_MOST:g}"
        )
    return PlannedStrength(name.strip(), strength, place)


def at_start(planned: Sequence[PlannedStrength]) -> dict[str, float] | None:
    """The strengths that a stream begins with; None where none was given."""
    return {one.name: one.strength for one in planned if one.when is None} or None


def later(planned: Sequence[PlannedStrength], fps: float) -> list[Cue]:
    """The changes of strengths, each at its place."""
    cues = []
    for one in planned:
        if one.when is not None:
            place = cue_of(one.when, fps)
            cues.append(Cue(place.at, place.unit, {"loras": {one.name: one.strength}}, place.label))
    return cues
