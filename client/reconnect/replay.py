"""One stream across connections: what was asked for, and how far it has come.

Turns both into what a new connection must be asked for, and the messages of that connection into
those of the one stream that the caller sees. Knows no socket.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, replace
from typing import TypeVar

from framewire.protocol import (
    MAX_SEED,
    BlockDone,
    Completed,
    Error,
    Frame,
    FromWorker,
    Params,
    Started,
    Steer,
    Steered,
)


@dataclass(slots=True)
class Shape:
    """Frames a block. The hosted model's until the stream shows another one."""

    first: int = 6
    later: int = 12

    def frames(self, blocks: int) -> int:
        return self.first + self.later * (blocks - 1)

    def blocks_for(self, frames: int) -> int:
        """The fewest blocks with that many frames."""
        return 1 + max(0, -(-(frames - self.first) // self.later))

    def block_of(self, frame: int) -> int:
        return 0 if frame < self.first else 1 + (frame - self.first) // self.later

    def learn(self, block: int, frames: int) -> None:
        if block == 0:
            self.first = frames
        else:
            self.later = frames


@dataclass(frozen=True, slots=True)
class Base:
    """What earlier connections have counted up to."""

    frames: int = 0
    blocks: int = 0
    prompts: int = 0

    def added_to(self, frame: Frame) -> Frame:
        if self == NOTHING:
            return frame
        return replace(
            frame,
            index=_plus(frame.index, self.frames),
            block=_plus(frame.block, self.blocks),
            prompt_version=_plus(frame.prompt_version, self.prompts),
        )


NOTHING = Base()


def _plus(number: int | None, base: int) -> int | None:
    return None if number is None else number + base


DEFAULT_BLOCKS = 20
"""What the wire says that an absent `num_blocks` is."""
_HELD = 64  # maps that a worker holds for later blocks
_Counted = TypeVar("_Counted", BlockDone, Steered)


class Replay:
    """One caller's stream. Attributes and methods count as the caller does.

    Attributes:
        frames: received so far.
        ended: the caller has said that there is no more to come.
    """

    def __init__(self) -> None:
        self.frames = 0
        self.ended = False
        self._asked: Params | None = None
        self._before: Params | None = None
        self._seed = 0
        self._next_seed: int | None = None
        self._held: list[Steer] = []
        self._picture: Steer | None = None
        self._prompt_with_image = ""
        self._prompts = 1
        self._shape = Shape()
        self._counting = (0, 0)  # block of this connection, and its frames so far
        self._raw = 0  # frames of this connection's stream
        self._resetting = False
        self._is_replay = False
        self._base = self._stale = Base()

    @property
    def is_over(self) -> bool:
        """Nothing is left to ask for."""
        return (self.ended and not self.is_clip) or self.frames >= self._total_frames

    @property
    def is_clip(self) -> bool:
        """Made from pictures each of which counts: what the lost worker held is gone."""
        return self._params.input == "all" and self._picture is not None

    @property
    def has_picture(self) -> bool:
        return self._picture is not None

    def start(self, params: Params) -> Params:
        """A stream is asked for. Returns what to send: with a seed, so that it can be replayed."""
        before = self._before = self._asked
        self._asked = params if before is None else params.over(before)
        update: dict[str, object] = {}
        if self._asked.num_blocks is None:
            self._asked = self._asked.model_copy(update={"num_blocks": DEFAULT_BLOCKS})
        if params.num_blocks is None and (before is None or self._is_replay):
            update["num_blocks"] = self._asked.num_blocks
        if self._asked.seed is None:
            self._seed = update["seed"] = random.randrange(MAX_SEED + 1)
        else:
            self._seed = self._asked.seed
        self._next_seed = None
        self.ended = False
        self._held.clear()
        self._picture = None
        self._prompt_with_image = params.prompt
        self._start_over()
        return params.model_copy(update=update)

    def change(self, steer: Steer) -> Steer:
        """The stream is steered. Returns what to send."""
        if steer.image is not None:
            self._picture = steer
        if steer.at_block is not None and steer.at_block > self._block:
            self._held = [*self._held, steer][-_HELD:]
        else:
            self._fold(steer)
        if steer.action == "end":
            self.ended = True
        elif steer.action == "reset":
            self.ended = False
            self._seed = self._seed if self._next_seed is None else self._next_seed
            self._next_seed = None
            stale = self._base
            self._start_over()
            self._stale, self._resetting = stale, True
            if self._is_replay:  # the worker knows the rest of the stream only
                steer = steer.model_copy(update={"num_blocks": self._params.num_blocks})
        return self._translated(steer)

    def requests(self) -> tuple[Params, list[Steer]]:
        """The stream goes on over a new connection: what to send on it, in this order."""
        update: dict[str, object] = {"seed": self._seed, "num_blocks": self._blocks_left()}
        if self._picture is not None:
            update["webcam_mode"] = True
        blocks = self._block + 1 if self.frames else 0
        self._base, self._raw = Base(self.frames, blocks, self._prompts - 1), 0
        self._counting, self._resetting, self._is_replay = (0, 0), False, True
        steers = [self._translated(steer) for steer in self._held]
        if self._picture is not None:
            kept = self._picture
            picture = {"image": kept.image, "request_id": kept.request_id}
            steers.append(Steer.model_validate({k: v for k, v in picture.items() if v is not None}))
        return self._params.model_copy(update=update), steers

    def take(self, message: FromWorker) -> FromWorker | None:
        """What the caller sees of a message of this connection; None where it is surplus."""
        match message:
            case Frame():
                return self._take_frame(message)
            case Started() if self._is_replay:
                return message.model_copy(update={"num_blocks": self._params.num_blocks})
            case BlockDone():
                self._shape.learn(message.block, message.frames)
                index = self._base.frames + message.index
                if self._base.frames and index >= self._total_frames:
                    return None
                return self._counted(message).model_copy(update={"index": index})
            case Steered():
                return self._counted(message)
            case Completed():
                self.ended = True
            case Error() if not message.ends_session:
                self._asked = self._before or self._asked  # the worker forgets them too
        return message

    @property
    def _params(self) -> Params:
        assert self._asked is not None, "nothing was started"
        return self._asked

    @property
    def _total_frames(self) -> int:
        return self._shape.frames(self._params.num_blocks or DEFAULT_BLOCKS)

    @property
    def _block(self) -> int:
        """The block of the last frame; -1 before there is one."""
        if self._raw == 0:
            return self._base.blocks - 1
        return self._base.blocks + self._shape.block_of(self._raw - 1)

    def _blocks_left(self) -> int:
        if self.frames == 0:
            return self._params.num_blocks or DEFAULT_BLOCKS
        return self._shape.blocks_for(self._total_frames - self.frames)

    def _start_over(self) -> None:
        self.frames = self._raw = 0
        self._prompts = 1
        self._counting = (0, 0)
        self._resetting = False
        self._base = Base()

    def _fold(self, steer: Steer) -> None:
        """Into the params in force, as the worker does it."""
        update: dict[str, object] = {}
        prompt = steer.prompt
        if steer.image is not None and prompt is not None:
            repeats = prompt == self._prompt_with_image
            self._prompt_with_image = prompt
            prompt = None if repeats else prompt
        if prompt is not None and prompt != self._params.prompt:
            update["prompt"] = prompt
            self._prompts += 1
        if steer.num_blocks is not None:
            update["num_blocks"] = steer.num_blocks
        if steer.strength is not None:
            update["strength"] = steer.strength
        if steer.seed is not None:
            self._next_seed = steer.seed
        self._asked = self._params.model_copy(update=update)

    def _translated(self, steer: Steer) -> Steer:
        """The steer in the counts of this connection."""
        if not self._is_replay:
            return steer
        update: dict[str, object] = {}
        if steer.num_blocks is not None and self._base.frames:
            left = self._shape.frames(steer.num_blocks) - self._base.frames
            update["num_blocks"] = self._shape.blocks_for(left)
        if steer.at_block is not None:
            update["at_block"] = max(0, steer.at_block - self._base.blocks)
        return steer.model_copy(update=update)

    def _take_frame(self, frame: Frame) -> Frame | None:
        if self._resetting and frame.index:
            return self._stale.added_to(frame)  # made before the reset
        self._resetting = False
        self._raw = self._raw + 1 if frame.index is None else frame.index + 1
        self._learn(frame)
        taken = self._base.frames + self._raw
        if self._base.frames and taken > self._total_frames:
            return None
        self.frames = taken
        for steer in [held for held in self._held if (held.at_block or 0) <= self._block]:
            self._held.remove(steer)
            self._fold(steer)
        return self._base.added_to(frame)

    def _learn(self, frame: Frame) -> None:
        if frame.block is None:
            return
        block, seen = self._counting
        if frame.block == block + 1:
            self._shape.learn(block, seen)
        self._counting = (frame.block, seen + 1 if frame.block == block else 1)

    def _counted(self, event: _Counted) -> _Counted:
        return event.model_copy(
            update={
                "block": self._base.blocks + event.block,
                "prompt_version": self._base.prompts + event.prompt_version,
            }
        )
