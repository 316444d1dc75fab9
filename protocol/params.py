"""What a client may ask for: the params that start a stream and the maps that steer it.

Both arrive from outside, so both are validated here; what a preset or a worker makes of them
(defaults, snapping sizes, decoding pictures) is not known here.
"""

from __future__ import annotations

import base64
import binascii
import re
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, AliasChoices, BeforeValidator, Field

from .from_wire import FromWire, not_bool, not_bytes
from .limits import (
    MAX_ADAPTERS,
    MAX_BLOCKS,
    MAX_FPS,
    MAX_ID_CHARS,
    MAX_PLANNED,
    MAX_SEED,
    MAX_SIDE,
    MIN_FPS,
    MIN_SIDE,
)
from .prompts.blends import Blend, BlendMethod, Interpolation, Prompt, Prompts, blend_of

UPLOAD_PREFIX = "upload:"
_UPLOAD_ID = re.compile(rf"{UPLOAD_PREFIX}([A-Za-z0-9_-]{{16,64}}(?:\.[a-z0-9]{{1,8}})?)")


def uploaded_name(said: str | bytes) -> str | None:
    """The name that the id of an uploaded file stands for; None of what is none, pictures as well.

    An id is no path and no URL, and means nothing to another worker.
    """
    if isinstance(said, bytes):
        if not said.startswith(UPLOAD_PREFIX.encode()):
            return None
        said = said.decode("latin-1")
    found = _UPLOAD_ID.fullmatch(said)
    return found[1] if found else None


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


def _start_frame_bytes(value: Any) -> Any:
    """As any picture's, or the id of an uploaded one, as bytes."""
    if isinstance(value, str) and uploaded_name(value) is not None:
        return value.encode()
    return _picture_bytes(value)


def _upload_id(value: Any) -> Any:
    """The id of an uploaded file, or None; blank is none."""
    if value is None or value == "":
        return None
    if not isinstance(value, str) or uploaded_name(value) is None:
        raise ValueError("must be the id of an upload; paths and URLs are not opened")
    return value


def _not_too_slow(fps: float) -> float:
    if 0 < fps < MIN_FPS:
        raise ValueError(f"must be 0 (unpaced), or greater than or equal to {MIN_FPS}")
    return fps


def _falling(steps: tuple[float, ...]) -> tuple[float, ...]:
    if any(later >= earlier for earlier, later in pairwise(steps)):
        raise ValueError("must fall strictly, like [1000, 937.5, 833.3, 625]")
    return steps


Side = Annotated[int, Field(ge=MIN_SIDE, le=MAX_SIDE), BeforeValidator(not_bool)]
Count = Annotated[int, Field(ge=1, le=MAX_BLOCKS), BeforeValidator(not_bool)]
Fps = Annotated[
    float,
    Field(ge=0, le=MAX_FPS, allow_inf_nan=False),
    BeforeValidator(not_bool),
    AfterValidator(_not_too_slow),
]
Seed = Annotated[int, Field(ge=0, le=MAX_SEED), BeforeValidator(not_bool)]
InterpSteps = Annotated[
    int,
    Field(ge=0, le=64),
    BeforeValidator(not_bool),
    AfterValidator(lambda value: max(value, 1)),
]
Strength = Annotated[
    float,
    Field(ge=0, le=1, allow_inf_nan=False),
    BeforeValidator(not_bool),
    AfterValidator(lambda value: max(value, 0.01)),
]
Picture = Annotated[bytes, Field(min_length=1), BeforeValidator(_picture_bytes)]
StartFrame = Annotated[bytes, Field(min_length=1), BeforeValidator(_start_frame_bytes)]
"""A picture, or the id of an uploaded one (`uploaded_name`)."""
AdapterName = Annotated[
    str, Field(min_length=1, max_length=MAX_ID_CHARS), BeforeValidator(not_bytes)
]
AdapterStrength = Annotated[
    float, Field(ge=0, le=2, allow_inf_nan=False), BeforeValidator(not_bool)
]
Loras = Annotated[dict[AdapterName, AdapterStrength], Field(max_length=MAX_ADAPTERS)]
"""Strengths of adapters by name: 0 is without, 1 is what it was trained for."""
Timestep = Annotated[float, Field(ge=0, le=1000, allow_inf_nan=False)]

_INTERP_NAMES = AliasChoices("interp_steps", "interpolation_steps")
_STRENGTH_NAMES = AliasChoices("strength", "noise_scale")


def _can_be_held(steers: tuple[Steer, ...]) -> tuple[Steer, ...]:
    if any(steer.image is not None or steer.action == "reset" for steer in steers):
        raise ValueError(
            "a picture or a reset cannot be held from the start: send it when it is due"
        )
    return steers


class Params(FromWire):
    """The params that start a stream. None means that the worker's preset decides."""

    prompt: Prompt
    prompts: Prompts = None
    blend: BlendMethod = None
    width: Side | None = None
    height: Side | None = None
    num_blocks: Count | None = None
    num_denoising_steps: Annotated[int, Field(ge=1, le=8), BeforeValidator(not_bool)] | None = None
    denoising_steps: (
        Annotated[
            tuple[Timestep, ...], Field(min_length=1, max_length=16), AfterValidator(_falling)
        ]
        | None
    ) = None
    seed: Seed | None = None
    strength: Strength | None = Field(default=None, validation_alias=_STRENGTH_NAMES)
    noise_controller: bool | None = None
    loras: Loras | None = None
    start_frame: StartFrame | None = None
    input_video: Annotated[str | None, BeforeValidator(_upload_id)] = None
    timestep_shift: Annotated[float, Field(ge=0.1, le=20, allow_inf_nan=False)] | None = None
    kv_cache_num_frames: Annotated[int, Field(ge=1, le=12), BeforeValidator(not_bool)] | None = None
    keep_first_frame: bool | None = None
    interp_steps: InterpSteps | None = Field(default=None, validation_alias=_INTERP_NAMES)
    transition: Interpolation | None = None
    prompt_switch: Literal["blend", "flush", "recache"] | None = None
    mid_block_prompts: bool | None = None
    steers: (
        Annotated[tuple[Steer, ...], Field(max_length=MAX_PLANNED), AfterValidator(_can_be_held)]
        | None
    ) = None
    webcam_mode: bool | None = None
    input: Literal["newest", "all"] | None = None
    fps: Fps | None = None
    record: bool | None = None
    events: bool | None = None
    fmt: Literal["jpeg", "msgpack"] | None = None

    @property
    def shown(self) -> Blend:
        """What they ask to be shown."""
        return blend_of(self.prompt, self.prompts, self.blend)

    def over(self, earlier: Params) -> Params:
        """These params with the keys that they leave out (None, too) taken from `earlier`.

        But for `prompts` and `blend`: what is shown is said by each map as a whole; and of `loras`
        those that are not named keep their strengths.
        """
        said = {key: getattr(self, key) for key in self.model_fields_set}
        update = {k: v for k, v in said.items() if v is not None}
        update |= {"prompts": self.prompts, "blend": self.blend}
        if self.loras is not None:
            update["loras"] = {**(earlier.loras or {}), **self.loras}
        return earlier.model_copy(update=update)


class Steer(FromWire):
    """A change to a running session. All its keys take effect together, before a block starts."""

    prompt: Prompt | None = None
    prompts: Prompts = None
    blend: BlendMethod = None
    interp_steps: InterpSteps | None = Field(default=None, validation_alias=_INTERP_NAMES)
    transition: Interpolation | None = None
    num_blocks: Count | None = None
    strength: Strength | None = Field(default=None, validation_alias=_STRENGTH_NAMES)
    noise_controller: bool | None = None
    loras: Loras | None = None
    seed: Seed | None = None
    action: Literal["reset", "end"] | None = None
    image: Picture | None = None
    request_id: (
        Annotated[str, Field(max_length=MAX_ID_CHARS), BeforeValidator(not_bytes)] | None
    ) = None
    timestamp: Annotated[float, Field(allow_inf_nan=False)] | None = None
    at_block: Annotated[int, Field(ge=0, le=MAX_BLOCKS), BeforeValidator(not_bool)] | None = None
    at_frame: Annotated[int, Field(ge=0, le=MAX_BLOCKS), BeforeValidator(not_bool)] | None = None

    @property
    def shown(self) -> Blend | None:
        """What it asks to be shown; None where it says nothing of that."""
        return None if self.prompt is None else blend_of(self.prompt, self.prompts, self.blend)
