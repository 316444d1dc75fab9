"""What one stream is asked for, as checked values with the preset's defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import cast, get_args

from .preset import PIXEL_MULTIPLE, Preset, PromptSwitch
from .schedule import MIN_STRENGTH, check_timesteps

MAX_CONTEXT_FRAMES = 12
"""The most that a stream may ask for, where the preset itself doesn't have more."""


@dataclass(frozen=True)
class StreamParams:
    """The parameters of one stream.

    Attributes:
        width: pixels, a multiple of 16; `height` likewise.
        seed: of the stream's noise.
        denoising_steps: strictly falling timesteps instead of `num_denoising_steps`.
        strength: how much of an input picture is replaced, 0-1; less than 0.01 acts as 0.01.
        timestep_shift: moves the steps towards noise.
        kv_cache_num_frames: latent frames that a block sees before itself, 1-12.
        keep_first_frame: the stream's first latent stays the context's first for ever.
        noise_controller: input that moves lowers its own strength, where the preset has a motion
            controller.
        interp_steps: blocks over which a new prompt comes in.
        prompt_switch: what an appended context becomes when a new prompt has taken over.
        loras: strengths of live adapters by name, 0-2; those left out are as the engine says.
    """

    width: int
    height: int
    seed: int = 0
    num_denoising_steps: int = 4
    denoising_steps: tuple[float, ...] | None = None
    strength: float = 0.8
    timestep_shift: float = 5.0
    kv_cache_num_frames: int = 3
    keep_first_frame: bool = False
    noise_controller: bool = True
    interp_steps: int = 4
    prompt_switch: PromptSwitch = "blend"
    loras: Mapping[str, float] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        """Refuse values outside their ranges, saying which and what would be right."""
        for name in ("width", "height"):
            side = getattr(self, name)
            if side < PIXEL_MULTIPLE or side % PIXEL_MULTIPLE:
                raise ValueError(
                    f"{name} must be a positive multiple of {PIXEL_MULTIPLE}, got {side}"
                )
        if self.denoising_steps is not None:
            check_timesteps(self.denoising_steps)
        if self.timestep_shift <= 0:
            raise ValueError(f"timestep_shift must be positive, got {self.timestep_shift}")
        for name in ("num_denoising_steps", "interp_steps", "kv_cache_num_frames"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, got {getattr(self, name)}")
        check_strength(self.strength)

    @classmethod
    def of(cls, preset: Preset, **given: object) -> StreamParams:
        """The preset's defaults, with what is given (and not None) in their place.

        Raises:
            ValueError: a value is out of range; says which and what would be right.
        """
        defaults: dict[str, object] = {
            "width": preset.width,
            "height": preset.height,
            "num_denoising_steps": preset.num_denoising_steps,
            "strength": preset.strength,
            "timestep_shift": preset.timestep_shift,
            "kv_cache_num_frames": preset.context_frames,
            "interp_steps": preset.interp_steps,
            "prompt_switch": preset.prompt_switch,
        }
        chosen = {name: value for name, value in given.items() if value is not None}
        params = cls(**{**defaults, **chosen})  # type: ignore[arg-type]
        most = max(MAX_CONTEXT_FRAMES, preset.context_frames)
        if params.kv_cache_num_frames > most:
            raise ValueError(
                f"kv_cache_num_frames must be 1-{most}, got {params.kv_cache_num_frames}"
            )
        check_switch(params.prompt_switch, preset)
        return params


def check_switch(switch: str, preset: Preset) -> PromptSwitch:
    """A way to a new prompt that the preset's context has.

    Raises:
        ValueError: says which it has.
    """
    ways: tuple[str, ...] = get_args(PromptSwitch) if preset.context == "appended" else ("blend",)
    if switch not in ways:
        raise ValueError(
            f"prompt_switch {switch!r}: of preset {preset.name} it can be {', '.join(ways)}"
        )
    return cast(PromptSwitch, switch)


def check_strength(strength: float) -> float:
    """A strength as it acts: at least 0.01.

    Raises:
        ValueError: it is not within 0-1.
    """
    if not 0 <= strength <= 1:
        raise ValueError(f"strength must be 0-1, got {strength}")
    return max(strength, MIN_STRENGTH)
