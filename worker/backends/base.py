"""What a backend is: the one seam between a session and whatever makes its pictures.

Knows no socket and no message. A backend is loaded once; each viewer's stream is one
`BackendSession`, and two of them never see each other's state. Everything but the call that
`next_block` returns runs on the worker's one lane thread, never two at a time.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]  # [H, W, 3] RGB, at the session's size
Frames = NDArray[np.uint8]  # [T, H, W, 3] RGB
PromptSwitch = Literal["blend", "flush", "recache"]
"""What becomes of what a stream remembers when a new prompt has taken over: it fades as new blocks
come, or is dropped but for the newest, or is computed anew."""
Method = Literal["linear", "slerp"]
"""How what lies between two prompts is found: along a line, or along an arc."""


class SettingsError(ValueError):
    """These settings cannot be streamed. `key` is the param at fault."""

    def __init__(self, key: str, message: str) -> None:
        super().__init__(message)
        self.key = key


class CapacityError(RuntimeError):
    """No room (memory) for one more session now; the running ones are untouched."""


class BackendBroken(RuntimeError):
    """The backend lost what this stream needs, and ended it; once loaded again it makes others."""


class Blend(Protocol):
    """Several texts that are shown at once."""

    @property
    def parts(self) -> tuple[tuple[str, float], ...]:
        """Two or more texts with their weights, which are above 0 and sum to 1."""

    @property
    def method(self) -> Method:
        """`slerp` for two texts only."""


@dataclass(frozen=True, slots=True)
class Defaults:
    """The values of a preset for params that a client leaves out, and what it accepts.

    Attributes:
        multiple: width and height are snapped to a multiple of this many pixels.
        follows_start_frame: size follows the start frame, or the first picture of live input,
            where the client names none.
        first_block_frames, block_frames: frames of a stream's first block, and of each later one.
        fps: frames a second at which what was made looks right.
        needs_input: no stream is made from text alone.
        loras: strengths of the adapters that a stream may change, by name.
        prompt_switches: what a stream may ask for, the usual one first; none where there is but one
            way for the model.
        mid_block_prompts: its sessions are `TakesPromptsMidBlock`; known once the backend is loaded.
    """

    width: int = 832
    height: int = 480
    num_blocks: int = 20
    num_denoising_steps: int = 4
    denoising_steps: tuple[float, ...] | None = None
    strength: float = 0.8
    timestep_shift: float = 5.0
    kv_cache_num_frames: int = 3
    keep_first_frame: bool = False
    interp_steps: int = 4
    multiple: int = 8
    noise_controller: bool = True
    follows_start_frame: bool = False
    first_block_frames: int = 6
    block_frames: int = 12
    fps: float = 16.0
    needs_input: bool = False
    loras: Mapping[str, float] = field(default_factory=dict)
    prompt_switches: tuple[PromptSwitch, ...] = ()
    mid_block_prompts: bool = False


@dataclass(frozen=True, slots=True)
class Settings:
    """What one stream is made from: every param resolved, pictures decoded.

    Attributes:
        prompt: of a `blend` the text that weighs the most.
        encoded: what `EncodesPrompts.encode` has made of it, if it was asked.
        prompt_switch: None is the usual one.
        mid_block_prompts: a new prompt is not to wait for the next block.
    """

    prompt: str
    width: int
    height: int
    seed: int
    num_denoising_steps: int
    denoising_steps: tuple[float, ...] | None
    strength: float
    timestep_shift: float
    kv_cache_num_frames: int
    keep_first_frame: bool
    start_frame: Picture | None
    live: bool
    noise_controller: bool = True
    loras: Mapping[str, float] = field(default_factory=dict)
    blend: Blend | None = None
    encoded: Any = None
    prompt_switch: PromptSwitch | None = None
    mid_block_prompts: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What takes effect before the next block; None leaves a value as it is.

    Attributes:
        prompt: of a `blend` the text that weighs the most; without one, it is shown alone.
        encoded: what `EncodesPrompts.encode` has made of it, if it was asked.
        interp_steps: blocks over which the new prompt takes over (1: at once).
        transition: what lies between the old prompt and the new one.
        live: from now on blocks are made from pictures.
        loras: strengths of adapters by name; those left out stay as they are.
    """

    prompt: str | None = None
    blend: Blend | None = None
    interp_steps: int = 4
    transition: Method = "linear"
    strength: float | None = None
    live: bool | None = None
    noise_controller: bool | None = None
    loras: Mapping[str, float] | None = None
    encoded: Any = None


@dataclass(frozen=True, slots=True)
class Block:
    """One block's frames, or a part of them, and the milliseconds that each stage of it took.

    Attributes:
        ms: of a block in parts, with the last of them.
        delay: how many blocks before this one its pictures were given.
        left: frames of this block that are still to come, in other parts.
    """

    frames: Frames
    ms: Mapping[str, float] = field(default_factory=dict)
    delay: int = 0
    left: int = 0


@runtime_checkable
class InParts(Protocol):
    """What finishes a block, and can hand over each of its frames as soon as it is there."""

    def __call__(self) -> Block:
        """All of the block, or what is left of it."""

    def part(self) -> Block:
        """The next frames of the block; it is called until none are left."""


class BackendSession(Protocol):
    """One viewer's stream."""

    def pictures_wanted(self) -> int:
        """How many input pictures the next block is made from; 0 for a block from text alone."""

    def steer(self, change: Change) -> None:
        """Take `change` into account from the next block on."""

    def next_block(self, pictures: Sequence[Picture]) -> Callable[[], Block]:
        """Make the next block.

        Args:
            pictures: exactly `pictures_wanted()` of them, oldest first.

        Returns:
            What finishes the block (decoding, say): called once, off the lane, in block order,
            and possibly while the lane makes the next block.
        """

    def close(self) -> None:
        """Free what the session holds. Nothing is called after it."""


class TakesPromptsMidBlock(BackendSession, Protocol):
    """One viewer's stream, in whose blocks a prompt can change."""

    def next_block(
        self,
        pictures: Sequence[Picture],
        newest: Callable[[], Change | None] | None = None,
    ) -> Callable[[], Block]:
        """As a `BackendSession`'s.

        Args:
            newest: asked on the lane between two denoise passes; what it returns changes the prompt
                alone, and the first of its `interp_steps` is taken with the next pass.
        """


class Backend(Protocol):
    """What makes pictures. `name` is how it is chosen, logged and reported."""

    name: str
    defaults: Defaults

    def load(self) -> None:
        """Load weights and warm up; called once, before the worker listens."""

    def open(self, settings: Settings) -> BackendSession:
        """Start a stream.

        Raises:
            SettingsError: these settings cannot be streamed.
            CapacityError: no room for another session now.
        """

    def close(self) -> None:
        """Free everything; called once, after the last session was closed."""


@runtime_checkable
class KnowsItsRoom(Protocol):
    """A backend whose sessions take memory that can be counted."""

    def places(self) -> int:
        """How many sessions of the default size there is room for, once loaded."""


@runtime_checkable
class KnowsItsMakeUp(Protocol):
    """A backend whose frames depend on more than its name."""

    def made_with(self) -> Mapping[str, str | int]:
        """What else the bytes of its frames depend on, by name; known once it is loaded."""


@runtime_checkable
class KnowsItsSpeed(Protocol):
    """A backend that can be asked to be faster."""

    def speed(self) -> Mapping[str, Any]:
        """What came of that, once it is loaded: `asked`, `parts`, `left_out` and `costs`.

        The last two are words by part: why it is left out, and what it does to the picture.
        """


@runtime_checkable
class EncodesPrompts(Protocol):
    """A backend that can prepare prompts beside the lane."""

    def encode(self, prompt: str, blend: Blend | None) -> Any:
        """What `Settings` and `Change` of this prompt take as `encoded`; on any thread.

        It may be used once or not at all, by any session of this backend.
        """


@runtime_checkable
class MayBreak(Protocol):
    """A backend that can lose what it needs, with all its sessions, while it runs."""

    def when_broken(self, tell: Callable[[], object]) -> None:
        """Call `tell`, on any thread, when that has happened: `load` is what mends it."""
