"""What a client may ask for: the params that start a stream and the maps that steer it.

Both arrive from outside, so both are validated here; what a preset or a worker makes of them
(defaults, snapping sizes, decoding pictures) is not known here.
"""

from __future__ import annotations

import base64
import binascii
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BaseModel, BeforeValidator, ConfigDict, Field

from .limits import MAX_BLOCKS, MAX_FPS, MAX_ID_CHARS, MAX_PROMPT_CHARS, MAX_SEED, MIN_FPS


def _not_blank(text: str) -> str:
    if not text.strip():
        raise ValueError("must not be blank")
    return text


def _picture_bytes(value: Any) -> Any:
    """Bytes as they are; base64 or a data URL decoded. Never a path, never a URL to fetch."""
    if not isinstance(value, str):
        return value
    header, comma, body = value.partition(",")
    if header.startswith("data:") and comma:
        if not header.endswith(";base64"):
            raise ValueError("a data URL must be base64")
        value = body
    try:
        return base64.b64decode("".join(value.split()), validate=True)
    except (binascii.Error, ValueError):
        raise ValueError(
            "must be picture bytes, base64 or a data URL; paths and URLs are not opened"
        ) from None


def _not_bool(value: Any) -> Any:
    if isinstance(value, bool):
        # pydantic reports a ValueError as a validation error, and nothing else.
        raise ValueError("must be a number, not true or false")  # noqa: TRY004
    return value


def _not_bytes(value: Any) -> Any:
    if isinstance(value, bytes | bytearray):
        # pydantic would take them for text where they happen to be UTF-8.
        raise ValueError("must be text (msgpack str), not bytes (msgpack bin)")  # noqa: TRY004
    return value


def _falling(steps: tuple[float, ...]) -> tuple[float, ...]:
    if any(later >= earlier for earlier, later in pairwise(steps)):
        raise ValueError("must fall strictly, like [1000, 937.5, 833.3, 625]")
    return steps


Prompt = Annotated[
    str,
    Field(max_length=MAX_PROMPT_CHARS),
    BeforeValidator(_not_bytes),
    AfterValidator(_not_blank),
]
Side = Annotated[int, Field(ge=64, le=2048), BeforeValidator(_not_bool)]
Count = Annotated[int, Field(ge=1, le=MAX_BLOCKS), BeforeValidator(_not_bool)]
Fps = Annotated[float, Field(ge=MIN_FPS, le=MAX_FPS, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(_not_bool)]
InterpSteps = Annotated[int, Field(ge=1, le=64), BeforeValidator(_not_bool)]
Strength = Annotated[
    float,
    Field(ge=0, le=1, allow_inf_nan=False),
    BeforeValidator(_not_bool),
    AfterValidator(lambda value: max(value, 0.01)),
]
Picture = Annotated[bytes, Field(min_length=1), BeforeValidator(_picture_bytes)]
Timestep = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

_INTERP_NAMES = AliasChoices("interp_steps", "interpolation_steps")
_STRENGTH_NAMES = AliasChoices("strength", "noise_scale")


class _FromWire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore", populate_by_name=True)

    def wire(self) -> dict[str, Any]:
        """The map to send: only what was set, under its own name."""
        return self.model_dump(mode="python", exclude_unset=True, exclude_none=True)


class Params(_FromWire):
    """The params that start a stream. None means that the worker's preset decides."""

    prompt: Prompt
    width: Side | None = None
    height: Side | None = None
    num_blocks: Count | None = None
    num_denoising_steps: Annotated[int, Field(ge=1, le=8), BeforeValidator(_not_bool)] | None = None
    denoising_steps: (
        Annotated[
            tuple[Timestep, ...], Field(min_length=1, max_length=16), AfterValidator(_falling)
        ]
        | None
    ) = None
    seed: Seed | None = None
    strength: Strength | None = Field(default=None, validation_alias=_STRENGTH_NAMES)
    noise_controller: bool | None = None
    start_frame: Picture | None = None
    timestep_shift: Annotated[float, Field(ge=0.1, le=20, allow_inf_nan=False)] | None = None
    kv_cache_num_frames: Annotated[int, Field(ge=1, le=12), BeforeValidator(_not_bool)] | None = (
        None
    )
    keep_first_frame: bool | None = None
    interp_steps: InterpSteps | None = Field(default=None, validation_alias=_INTERP_NAMES)
    webcam_mode: bool | None = None
    input: Literal["newest", "all"] | None = None
    fps: Fps | None = None
    events: bool | None = None
    fmt: Literal["jpeg", "msgpack"] | None = None

    def over(self, earlier: Params) -> Params:
        """These params with the keys that they leave out (None, too) taken from `earlier`."""
        said = {key: getattr(self, key) for key in self.model_fields_set}
        return earlier.model_copy(update={k: v for k, v in said.items() if v is not None})


class Steer(_FromWire):
    """A change to a running session. All its keys take effect together, before a block starts."""

    prompt: Prompt | None = None
    interp_steps: InterpSteps | None = Field(default=None, validation_alias=_INTERP_NAMES)
    num_blocks: Count | None = None
    strength: Strength | None = Field(default=None, validation_alias=_STRENGTH_NAMES)
    noise_controller: bool | None = None
    seed: Seed | None = None
    action: Literal["reset", "end"] | None = None
    image: Picture | None = None
    request_id: (
        Annotated[str, Field(max_length=MAX_ID_CHARS), BeforeValidator(_not_bytes)] | None
    ) = None
    timestamp: Annotated[float, Field(allow_inf_nan=False)] | None = None
    at_block: Annotated[int, Field(ge=0, le=MAX_BLOCKS), BeforeValidator(_not_bool)] | None = None
