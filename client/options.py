"""The keyword arguments of `Session`, and their checked form. The wire's own keys, no others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict, TypeVar

from pydantic import BaseModel, ValidationError

from framewire.protocol import MAX_MESSAGE_BYTES, Params, Steer

from .errors import ParamsError

_ROOM = 64 * 1024  # of a message, for everything but its picture
_Model = TypeVar("_Model", bound=BaseModel)


class StartOptions(TypedDict, total=False):
    """Params beside the prompt; what is left out is the preset's. Ranges: the protocol document.

    `prompts` are texts and weights that are blended: `[("a fox", 0.7), ("a robot", 0.3)]`. The
    prompt beside them is the heaviest, unless another of the texts is given.
    """

    prompts: Sequence[tuple[str, float]] | None
    blend: Literal["linear", "slerp"] | None
    width: int | None
    height: int | None
    num_blocks: int | None
    num_denoising_steps: int | None
    denoising_steps: Sequence[float] | None
    seed: int | None
    strength: float | None
    noise_controller: bool | None
    loras: Mapping[str, float] | None
    start_frame: bytes | str | None
    input_video: str | None
    timestep_shift: float | None
    kv_cache_num_frames: int | None
    keep_first_frame: bool | None
    interp_steps: int | None
    transition: Literal["linear", "slerp"] | None
    prompt_switch: Literal["blend", "flush", "recache"] | None
    mid_block_prompts: bool | None
    steers: Sequence[Mapping[str, Any]] | None
    webcam_mode: bool | None
    input: Literal["newest", "all"] | None
    fps: float | None
    record: bool | None
    events: bool | None
    fmt: Literal["jpeg", "msgpack"] | None


class SteerOptions(TypedDict, total=False):
    """What may change with a prompt, or without one."""

    prompts: Sequence[tuple[str, float]] | None
    blend: Literal["linear", "slerp"] | None
    interp_steps: int | None
    transition: Literal["linear", "slerp"] | None
    num_blocks: int | None
    strength: float | None
    noise_controller: bool | None
    loras: Mapping[str, float] | None
    seed: int | None
    at_block: int | None
    at_frame: int | None


class ImageOptions(TypedDict, total=False):
    """What may go with a picture."""

    request_id: str | None
    timestamp: float | None
    prompt: str | None
    prompts: Sequence[tuple[str, float]] | None
    blend: Literal["linear", "slerp"] | None
    strength: float | None
    num_blocks: int | None


def params_from(prompt: str | None, options: StartOptions) -> Params:
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
    given = {key: value for key, value in options.items() if value is not None}
    try:
        return model.model_validate(_as_on_the_wire(given))
    except ValidationError as error:
        details = error.errors(include_url=False, include_context=False, include_input=False)
        reason = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in details)
        raise ParamsError(reason, errors=tuple(dict(one) for one in details)) from None


def _as_on_the_wire(options: dict[str, Any]) -> dict[str, Any]:
    """Pairs of text and weight as maps, the heaviest as the prompt, and methods in maps.

    What has another shape stays as it is, for the model to say what is wrong with it.
    """
    found = dict(options)
    for key in ("blend", "transition"):
        if isinstance(found.get(key), str):
            found[key] = {"method": found[key]}
    if isinstance(found.get("steers"), list | tuple):
        found["steers"] = [
            _as_on_the_wire(dict(one)) if isinstance(one, Mapping) else one
            for one in found["steers"]
        ]
    prompts = found.get("prompts")
    if not isinstance(prompts, list | tuple):
        return found
    pairs = [one for one in prompts if isinstance(one, list | tuple) and len(one) == 2]
    if len(pairs) < len(prompts):
        return found
    found["prompts"] = [{"text": text, "weight": weight} for text, weight in pairs]
    weighed = [pair for pair in pairs if isinstance(pair[1], int | float)]
    if weighed:
        found.setdefault("prompt", max(weighed, key=lambda pair: pair[1])[0])
    return found
