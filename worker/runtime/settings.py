"""From params to settings: defaults of the preset, snapped sizes, a drawn seed, a start frame.

Blocking (it decodes a picture), so it runs on the threads for what comes in.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping

from framewire.protocol import MAX_SEED, Params
from framewire.worker.backends.base import (
    Defaults,
    Picture,
    PromptSwitch,
    Settings,
    SettingsError,
)

from .pictures import PictureError, decode_picture, picture_size, snapped


def size_follows_input(params: Params, defaults: Defaults) -> bool:
    """Whether the size of a stream is that of its first live picture."""
    sized = params.width is not None or params.height is not None
    follows = defaults.follows_start_frame and bool(params.webcam_mode)
    still = params.start_frame is None and params.input_video is None
    return follows and not sized and still


def resolve_settings(
    params: Params,
    defaults: Defaults,
    first: bytes | None = None,
    start_frame: Picture | None = None,
) -> Settings:
    """Every value that a stream is made from.

    Args:
        first: the first live picture, where `size_follows_input`.
        start_frame: that of the params, where it was decoded elsewhere to `stream_size`.

    Raises:
        SettingsError: the start frame is no picture that can be used, or there is no such adapter, or a
            way to new prompts that is not allowed.
    """
    for loras in (params.loras, *(steer.loras for steer in params.steers or ())):
        check_adapters(loras, defaults)
    width, height = stream_size(params, defaults, first)
    if start_frame is None and params.start_frame is not None:
        try:
            start_frame = decode_picture(params.start_frame, width, height)
        except PictureError as error:
            raise SettingsError("start_frame", str(error)) from error

    def either(key: str) -> object:
        value = getattr(params, key)
        return getattr(defaults, key) if value is None else value

    keys = (
        "num_denoising_steps",
        "denoising_steps",
        "strength",
        "timestep_shift",
        "kv_cache_num_frames",
        "keep_first_frame",
        "noise_controller",
    )
    shown = params.shown
    return Settings(
        prompt=shown.text,
        blend=shown if shown.is_mixed else None,
        width=width,
        height=height,
        seed=secrets.randbelow(MAX_SEED + 1) if params.seed is None else params.seed,
        start_frame=start_frame,
        live=bool(params.webcam_mode),
        prompt_switch=_prompt_switch(params, defaults),
        mid_block_prompts=_mid_block_prompts(params, defaults),
        loras={**defaults.loras, **(params.loras or {})} if defaults.loras else {},
        **{key: either(key) for key in keys},  # type: ignore[arg-type]
    )


def check_adapters(loras: Mapping[str, float] | None, defaults: Defaults) -> None:
    """Refuse names of no adapter, unless there are none at all: then they mean nothing here.

    Raises:
        SettingsError: says which there are.
    """
    unknown = (loras or {}).keys() - defaults.loras.keys()
    if unknown and defaults.loras:
        raise SettingsError(
            "loras",
            f"there is no adapter {min(unknown)!r} here, only {', '.join(sorted(defaults.loras))}",
        )


def _prompt_switch(params: Params, defaults: Defaults) -> PromptSwitch | None:
    """Refuse a way to a new prompt that is not allowed, unless there is one way only."""
    asked, allowed = params.prompt_switch, defaults.prompt_switches
    if not allowed or asked is None:
        return None
    if asked not in allowed:
        raise SettingsError(
            "prompt_switch", f"{asked!r} is not to be had here, only {', '.join(allowed)}"
        )
    return asked


def _mid_block_prompts(params: Params, defaults: Defaults) -> bool:
    """Refuse what the backend cannot do, and what takes a new prompt at a block's start only."""
    if not params.mid_block_prompts:
        return False
    if not defaults.mid_block_prompts:
        raise SettingsError(
            "mid_block_prompts", "not to be had here: leave it out, and prompts wait for a block"
        )
    usual = next(iter(defaults.prompt_switches), "blend")
    switch = _prompt_switch(params, defaults) or usual
    if switch != "blend":
        raise SettingsError(
            "mid_block_prompts", f"prompt_switch {switch!r} waits for a block; ask for 'blend'"
        )
    return True


def stream_size(params: Params, defaults: Defaults, first: bytes | None) -> tuple[int, int]:
    """Width and height of the stream, in pixels.

    Raises:
        SettingsError: they follow a picture that cannot be used.
    """
    width, height = params.width, params.height
    followed = params.start_frame if defaults.follows_start_frame else None
    followed = followed or first
    if followed is not None and width is None and height is None:
        try:
            width, height = picture_size(followed)
        except PictureError as error:
            raise SettingsError("start_frame", str(error)) from error
    return snapped(width or defaults.width, height or defaults.height, defaults.multiple)
