"""The keyword arguments of `Session`, and their checked form. The wire's own keys, no others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypedDict, TypeVar

from pydantic import BaseModel, ValidationError

from framewire.protocol import MAX_MESSAGE_BYTES, Params, Steer

from .errors import ParamsError

_ROOM = 64 * 1024  # of a message, for everything but its picture
_Model = TypeVar("_Model", bound=BaseModel)


class StartOptions(TypedDict, total=False):
    """Params beside the prompt; what is left out is the preset's. Ranges: the protocol document."""

    width: int | None
    height: int | None
    num_blocks: int | None
    num_denoising_steps: int | None
    denoising_steps: Sequence[float] | None
    seed: int | None
    strength: float | None
    noise_controller: bool | None
    start_frame: bytes | str | None
    timestep_shift: float | None
    kv_cache_num_frames: int | None
    keep_first_frame: bool | None
    interp_steps: int | None
    webcam_mode: bool | None
    input: Literal["newest", "all"] | None
    fps: float | None
    events: bool | None
    fmt: Literal["jpeg", "msgpack"] | None


class SteerOptions(TypedDict, total=False):
    """What may change with a prompt, or without one."""

    interp_steps: int | None
    num_blocks: int | None
    strength: float | None
    noise_controller: bool | None
    seed: int | None
    at_block: int | None


class ImageOptions(TypedDict, total=False):
    """What may go with a picture."""

    request_id: str | None
    timestamp: float | None
    prompt: str | None
    strength: float | None
    num_blocks: int | None


def params_from(prompt: str, options: StartOptions) -> Params:
    """Checked params.

    Raises:
        ParamsError: out of range.
        TypeError: no such param.
    """
    return _checked(Params, {**options, "prompt": prompt})


def steer_from(**options: Any) -> Steer:
    """A checked change; raises as `params_from` does."""
    return _checked(Steer, options)


def _checked(model: type[_Model], options: dict[str, Any]) -> _Model:
    unknown = options.keys() - model.model_fields.keys()
    if unknown:
        known = ", ".join(sorted(model.model_fields))
        raise TypeError(f"no such param: {', '.join(sorted(unknown))}; there are {known}")
    for key, value in options.items():
        if isinstance(value, bytes | str) and len(value) > MAX_MESSAGE_BYTES - _ROOM:
            limit = f"at most {MAX_MESSAGE_BYTES // 2**20} MiB go into one message"
            raise ParamsError(f"{key}: {len(value) / 2**20:.1f} MiB; {limit}")
    try:
        return model.model_validate({k: v for k, v in options.items() if v is not None})
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        reason = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in details)
        raise ParamsError(reason, errors=tuple(dict(one) for one in details)) from None
