"""Settings of Scope's files as params of the wire, and which of them nothing here does."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from framewire.protocol import MAX_SEED
from framewire.protocol.limits import MAX_SIDE, MIN_SIDE

from .fields import Fields, kind_of, number, wrong

_ANY_SEED = 2**63
_SIDE = (MIN_SIDE, MAX_SIDE)


@dataclass
class Settings:
    """What the settings of a file come to.

    Attributes:
        params: of the wire.
        left_out: what nothing here does, a line each.
        wants_input: the stream is made from video.
    """

    params: dict[str, Any] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    wants_input: bool = False


Reader = Callable[[Fields, str, Settings], None]


def read_settings(fields: Fields, found: Settings) -> None:
    """Read all that is there into `found`.

    Raises:
        TimelineError: a value has the wrong type or is out of range.
    """
    for key, _ in fields.unread():
        reader = _READERS.get(key)
        if reader is None:
            found.left_out.append(f"{fields.place(key)}: not known here")
        else:
            reader(fields, key, found)


def _resolution(fields: Fields, key: str, found: Settings) -> None:
    size = fields.fields(key)
    found.params |= {side: size.whole(side, *_SIDE) for side in ("width", "height")}


def _side(fields: Fields, key: str, found: Settings) -> None:
    found.params[key] = fields.whole(key, *_SIDE)


def _seed(fields: Fields, key: str, found: Settings) -> None:
    seed = fields.whole(key, 0, _ANY_SEED)
    found.params["seed"] = seed % (MAX_SEED + 1)
    if seed > MAX_SEED:
        used = found.params["seed"]
        found.left_out.append(f"{fields.place(key)} {seed}: {MAX_SEED} at most, {used} is used")


def _steps(fields: Fields, key: str, found: Settings) -> None:
    place, items = fields.place(key), fields.items(key)
    steps = [number(item, f"{place}[{index}]", 0, 1000) for index, item in enumerate(items)]
    if not 1 <= len(steps) <= 16:
        raise wrong(place, f"has {len(steps)} steps", "expected 1 to 16")
    if any(later >= earlier for earlier, later in pairwise(steps)):
        said = f"{place} {items}: must fall; the model's own steps are taken"
        found.left_out.append(said)
        return
    found.params["denoising_steps"] = steps


def _noise_scale(fields: Fields, key: str, found: Settings) -> None:
    found.params["strength"] = fields.number(key, 0, 1)


def _noise_controller(fields: Fields, key: str, found: Settings) -> None:
    found.params["noise_controller"] = fields.flag(key)


def _manage_cache(fields: Fields, key: str, found: Settings) -> None:
    if not fields.flag(key):
        place = fields.place(key)
        found.left_out.append(f"{place} false: each model looks after its own context here")


def _bias(fields: Fields, key: str, found: Settings) -> None:
    bias = fields.number(key, 0.01, 1)
    if bias != 1:
        place = fields.place(key)
        found.left_out.append(f"{place} {bias:g}: context counts in full here, as with 1")


def _quantization(fields: Fields, key: str, found: Settings) -> None:
    said = f"{fields.place(key)} {fields.text(key)}: the worker's choice (serve --fp8)"
    found.left_out.append(said)


def _loras(fields: Fields, key: str, found: Settings) -> None:
    count = len(fields.items(key))
    if count:
        found.left_out.append(f"{fields.place(key)}: {count} adapters; none is loaded")


def _input_mode(fields: Fields, key: str, found: Settings) -> None:
    found.wants_input = fields.one_of(key, ("text", "video")) == "video"


def _overrides(fields: Fields, key: str, found: Settings) -> None:
    read_settings(fields.fields(key), found)


def _of_no_account(fields: Fields, key: str, found: Settings) -> None:
    """Changes no frame where all else is as it is here."""


def _one_way(usual: object) -> Reader:
    """Something that is always done in one way here."""

    def read(fields: Fields, key: str, found: Settings) -> None:
        value = fields.get(key)
        if value != usual:
            found.left_out.append(f"{fields.place(key)}: {kind_of(value)}; not done here")

    return read


_READERS: dict[str, Reader] = {
    "resolution": _resolution,
    "width": _side,
    "height": _side,
    "seed": _seed,
    "base_seed": _seed,
    "denoising_steps": _steps,
    "denoising_step_list": _steps,
    "noise_scale": _noise_scale,
    "noise_controller": _noise_controller,
    "manage_cache": _manage_cache,
    "kv_cache_attention_bias": _bias,
    "quantization": _quantization,
    "loras": _loras,
    "lora_merge_strategy": _of_no_account,
    "lora_merge_mode": _of_no_account,
    "input_mode": _input_mode,
    "schema_field_overrides": _overrides,
    "vae_type": _one_way("wan"),
    "vace_enabled": _one_way(False),
    "vace_context_scale": _of_no_account,
}
"""By key in snake case; `kvCacheAttentionBias` and `kv_cache_attention_bias` are one."""
