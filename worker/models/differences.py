"""What of a preset a user's own model may have otherwise, and which values make sense there."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, get_type_hints

from pydantic import TypeAdapter, ValidationError

from framewire.protocol import Params
from framewire.worker.engine.preset import Preset

_FIXED = ("name", "dims", "vae", "motion")
_MOST_FRAMES = 512
"""Latent frames of a context: half a minute, and half of what an appended one counts to."""
_RANGES = {
    "block_frames": (1, 24),
    "first_block_frames": (1, 24),
    "context_frames": (1, _MOST_FRAMES),
    "contexts": (1, _MOST_FRAMES),
    "sink_frames": (0, _MOST_FRAMES),
    "sink_threshold": (-1, 1),
    "wrap_at": (0, 2 * _MOST_FRAMES),
    "loader_shift": (0.1, 20),
    "first_block_steps": (1, 8),
    "steps": (0, 1000),
    "text_steps": (0, 1000),
    "first_step_offset": (0, 1000),
    "dropped_frames": (0, 12),
}
_ON_THE_WIRE = (
    "width",
    "height",
    "num_denoising_steps",
    "strength",
    "timestep_shift",
    "interp_steps",
)
"""Usual values of what streams may ask for, so no others than these may."""


class DifferenceError(ValueError):
    """A key or a value cannot be; the message says which, and what would be right."""


def known_differences() -> tuple[str, ...]:
    """The fields of a preset that may differ."""
    return tuple(name for name in get_type_hints(Preset) if name not in _FIXED)


def checked_difference(name: str, value: Any) -> Any:
    """One value, as the preset has it; lists become tuples.

    Raises:
        DifferenceError: it is of another type, or out of range.
    """
    value = tuple(value) if isinstance(value, list) else value
    try:
        checked = TypeAdapter(get_type_hints(Preset)[name]).validate_python(value, strict=True)
        if name in _ON_THE_WIRE:
            Params.model_validate({"prompt": "any", name: value})
    except ValidationError as error:
        said = error.errors()[0]["msg"].replace("tuple", "list")
        raise DifferenceError(f"{name} {value!r}: {said}") from None
    for number in _numbers(checked):
        least, most = _RANGES.get(name, (-math.inf, math.inf))
        if not least <= number <= most:
            raise DifferenceError(f"{name} must be {least} to {most}, got {number}")
    return checked


def check_together(preset: Preset) -> None:
    """Refuse fields that are right by themselves and not beside each other.

    Raises:
        DifferenceError: says which.
    """
    if preset.sink_frames >= preset.context_frames:
        raise DifferenceError(
            f"sink_frames {preset.sink_frames}: fewer than context_frames, {preset.context_frames}"
        )
    if preset.first_pictures < 1:
        raise DifferenceError(
            f"dropped_frames {preset.dropped_frames}: nothing would be left of the first block"
        )
    for name, steps in (("steps", preset.steps), ("text_steps", preset.text_steps)):
        if steps is not None and (not steps or list(steps) != sorted(set(steps), reverse=True)):
            raise DifferenceError(f"{name} must be timesteps that fall strictly, got {list(steps)}")
    if preset.steps is not None and len(preset.steps) < preset.num_denoising_steps:
        raise DifferenceError(
            f"steps has {len(preset.steps)}, and num_denoising_steps is {preset.num_denoising_steps}"
        )


def _numbers(value: Any) -> Iterator[float]:
    several = value if isinstance(value, tuple) else (value,)
    yield from (one for one in several if isinstance(one, int | float))
