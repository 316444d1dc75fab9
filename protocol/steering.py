"""What a viewer wants changed, folded into what takes effect before the next block.

The rule by which the params in force follow from the maps that were sent, for both sides: the
worker goes by it, and the client, which has to say the same to another worker after a loss.
Maps may come faster than blocks are made: per key the newest wins. Maps with `at_block` are
held until that block, those with `at_frame` until the block that contains that frame. Knows neither
socket nor backend.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from .limits import MAX_HELD
from .params import Params, Steer
from .prompts.blends import Blend, Interpolation, Method

Strengths = Mapping[str, float]
"""Of adapters, by name."""

_KEYS = ("num_blocks", "strength", "noise_controller", "seed")
_SHOWN = ("prompt", "prompts", "blend")
_WAY = ("interp_steps", "transition")


@dataclass(slots=True)
class BlockShape:
    """Frames a block: of a stream's first one, and of each later one."""

    first: int = 6
    later: int = 12

    def frames(self, blocks: int) -> int:
        """Of so many blocks."""
        return self.first + self.later * (blocks - 1) if blocks else 0

    def blocks_for(self, frames: int) -> int:
        """The fewest blocks with that many frames."""
        return 1 + max(0, -(-(frames - self.first) // self.later))

    def block_of(self, frame: int) -> int:
        """The block that contains a frame, both counted from 0."""
        return 0 if frame < self.first else 1 + (frame - self.first) // self.later


def in_blocks(steer: Steer, shape: BlockShape) -> Steer:
    """The map with the block that contains its `at_frame` as its `at_block`."""
    if steer.at_frame is None:
        return steer
    return steer.model_copy(update={"at_block": shape.block_of(steer.at_frame)})


@dataclass(frozen=True, slots=True)
class Due:
    """What changes before a block, all together: `applied` names the keys.

    Attributes:
        prompt: what is to be shown; of a `blend` the heaviest text.
        loras: all strengths in force, where one of them changes.
    """

    applied: tuple[str, ...]
    prompt: str | None = None
    blend: Blend | None = None
    interp_steps: int | None = None
    transition: Method | None = None
    strength: float | None = None
    noise_controller: bool | None = None
    loras: Strengths | None = None


class Steering:
    """The params in force in one session, and the changes that wait to be folded into them.

    Args:
        params: those that the stream starts with, whole.
        before: the session's last stream, if this one is not its first.

    Attributes:
        params: the values in force.
        prompt_version: 1 for the first prompt of the stream, one more with each change.
        reset: the stream is to start over.
        ended: the stream is to stop after the block under way (live: when its input is used up).
    """

    def __init__(self, params: Params, before: Steering | None = None) -> None:
        self.params = params
        self.prompt_version = 1
        self.reset = False
        self.ended = False
        self._next: dict[str, object] = {}
        self._held: list[Steer] = []
        # The prompt of the last map with a picture, which outlives a stream; the start prompt too
        # counts as said with a picture until one comes with another.
        self._with_image: Blend | None = before._with_image if before is not None else None
        self._start_prompt: Blend | None = params.shown

    @property
    def num_blocks(self) -> int | None:
        """The length last asked for, also before it is in force: it decides if a block follows."""
        asked = self._next.get("num_blocks")
        return asked if isinstance(asked, int) else self.params.num_blocks

    @property
    def held(self) -> tuple[Steer, ...]:
        """The maps that wait for a later block, in the order in which they came."""
        return tuple(self._held)

    @property
    def awaits_prompt_only(self) -> bool:
        """Whether what waits for the next block is another prompt, and nothing besides."""
        if self.reset or self.ended or not self._next or self._next.keys() - {*_SHOWN, *_WAY}:
            return False
        return self.params.model_copy(update=self._next).shown != self.params.shown

    def add(self, steer: Steer, block: int) -> None:
        """Take a map in; `block` is the index of the next block.

        Raises:
            OverflowError: too many maps are held for later blocks.
        """
        if steer.at_block is None or steer.at_block <= self._counted(block):
            self._fold(steer)
        elif len(self._held) < MAX_HELD:
            self._held.append(steer)
        else:
            raise OverflowError(f"at most {MAX_HELD} maps can be held for later blocks")

    def plan(self, steers: Iterable[Steer]) -> None:
        """Take in what came with the params, before the first block."""
        for steer in steers:
            if steer.at_block:
                self._held.append(steer)
            else:
                self._fold(steer)

    def due(self, block: int) -> Due:
        """What takes effect before `block`; `params` has the new values from here on."""
        block = self._counted(block)
        waiting, self._held = self._held, []
        for steer in waiting:
            if (steer.at_block or 0) > block:
                self._held.append(steer)
        for steer in waiting:
            if (steer.at_block or 0) <= block:
                self._fold(steer)
        values, self._next = self._next, {}
        if "loras" in values:
            values["loras"] = {**(self.params.loras or {}), **cast(Strengths, values["loras"])}
        interp_steps = values.pop("interp_steps", None)
        transition = values.pop("transition", None)
        shown = self.params.model_copy(update=values).shown
        turns = shown != self.params.shown
        if not turns:  # in whatever words it was said
            for key in _SHOWN:
                values.pop(key, None)
        self.params = self.params.model_copy(update=values)
        self.prompt_version += turns
        return Due(
            applied=tuple(sorted(key for key, value in values.items() if value is not None)),
            prompt=shown.text if turns else None,
            blend=shown if turns and shown.is_mixed else None,
            interp_steps=interp_steps if isinstance(interp_steps, int) else None,
            transition=transition.method if isinstance(transition, Interpolation) else None,
            strength=self.params.strength if "strength" in values else None,
            noise_controller=self.params.noise_controller if "noise_controller" in values else None,
            loras=self.params.loras if "loras" in values else None,
        )

    def hold_anew(self, steers: Iterable[Steer]) -> None:
        """The maps that are held, said in other counts."""
        self._held = list(steers)

    def start_over(self) -> Params:
        """The params of the stream that a reset starts: the latest values."""
        self.due(0)
        self.prompt_version = 1
        self.reset = False
        return self.params

    def repeats(self, steer: Steer) -> bool:
        """Whether the prompt of a map with a picture was said with the last such map already.

        The demo app repeats the start prompt with every picture: only a change counts.
        """
        said = (self._with_image, self._start_prompt)
        return steer.image is not None and steer.shown is not None and steer.shown in said

    def set_live(self) -> None:
        """Blocks are made from pictures from now on, after a reset too."""
        self.params = self.params.model_copy(update={"webcam_mode": True})

    def _fold(self, steer: Steer) -> None:
        if steer.prompt is not None and not self.repeats(steer):
            if steer.image is not None:
                self._with_image, self._start_prompt = steer.shown, None
            for key in (*_SHOWN, *_WAY):
                self._next[key] = getattr(steer, key)
        for key in _KEYS:
            value = getattr(steer, key)
            if value is not None:
                self._next[key] = value
        if steer.loras is not None:  # adapters that it does not name stay as they are
            self._next["loras"] = {**cast(Strengths, self._next.get("loras", {})), **steer.loras}
        if steer.action == "reset":  # what was held or ended was so for the stream so far
            self._held.clear()
            self.reset, self.ended = True, False
        elif steer.action == "end":
            self.ended = True

    def _counted(self, block: int) -> int:
        """Behind a reset, blocks are counted from the start of the stream to come."""
        return 0 if self.reset else block
