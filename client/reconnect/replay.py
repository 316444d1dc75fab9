"""One stream across connections: what was asked for, and what a new connection is asked for.

What is in force follows from the maps that were sent as it does in the worker, by the same rule
(`protocol.steering`); how far the stream has come is in `counts`.
"""

from __future__ import annotations

import random
from contextlib import suppress

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
from framewire.protocol.limits import DEFAULT_BLOCKS, MAX_PLANNED
from framewire.protocol.steering import Steering

from .counts import Counts
from .translation import just_picture, translated, without_picture, without_prompt


class Replay:
    """One caller's stream. Attributes and methods count as the caller does."""

    def __init__(self) -> None:
        self._counts = Counts()
        self._steering: Steering | None = None
        self._last: Steering | None = None  # what the params of the next start go over
        self._before: Steering | None = None  # the same, should the worker refuse these
        self._seed = 0  # of the stream under way; a steered one waits for a reset
        self._drawn: int | None = None
        self._picture: Steer | None = None
        self._completed = False
        self._is_replay = False
        self._heeds_plans = False  # the worker holds maps that come with the params

    @property
    def frames(self) -> int:
        """Received so far."""
        return self._counts.frames

    @property
    def is_over(self) -> bool:
        """Nothing is left to ask for."""
        ended = self._in_force.ended and not self.is_clip
        return self._completed or ended or self.frames >= self._total_frames

    @property
    def is_clip(self) -> bool:
        """Made from pictures each of which counts: what the lost worker held is gone."""
        return self._in_force.params.input == "all" and self._picture is not None

    @property
    def has_picture(self) -> bool:
        return self._picture is not None

    def start(self, params: Params) -> Params:
        """A stream is asked for. Returns what to send: with a seed, so that it can be replayed."""
        before = self._last
        merged = params if before is None else params.over(before.params)
        chosen: dict[str, object] = {}
        if merged.num_blocks is None:
            chosen["num_blocks"] = DEFAULT_BLOCKS
        if params.seed is None and merged.seed in (None, self._drawn):
            chosen["seed"] = self._drawn = random.randrange(MAX_SEED + 1)
        merged = merged.model_copy(update={**chosen, "steers": None})
        self._picture = None
        self._go_on_as(Steering(merged, before))
        self._counts.start_over()
        self._in_force.plan(self._in_blocks(steer) for steer in params.steers or ())
        if params.steers:  # what of them is for the first block is in force from its start
            self._begin(0)
        # The worker of a replay was told of the rest of a stream, not of what the caller said.
        whole = merged if self._is_replay else params
        return whole.model_copy(update={**chosen, "steers": params.steers})

    def change(self, steer: Steer) -> list[Steer]:
        """The stream is steered. Returns what to send, in this order."""
        steering = self._in_force
        steer = self._in_blocks(steer)
        if self._completed:
            if steer.action == "reset":
                steering.add(steer.model_copy(update={"at_block": None}), 0)
                self._go_on_as(Steering(steering.start_over(), steering))
                self._counts.reset()
            return self._translated(steer)
        if steer.image is not None:
            self._picture = steer
            steering.set_live()
        sent = self._without_repeats(steer)
        with suppress(OverflowError):  # held by nobody: the worker warns of it
            steering.add(steer, self._counts.block + 1)
        if steering.reset:
            self._counts.reset()
        return self._translated(sent)

    def lost(self) -> None:
        """The connection of a stream is lost: what waited for its next block is in force."""
        self._begin(self._counts.block + 1)

    def requests(self) -> tuple[Params, list[Steer]]:
        """The stream goes on over a new connection: what to send on it, in this order."""
        self._begin(self._counts.block + 1)
        steering, counts = self._in_force, self._counts
        left = counts.blocks_left(self._num_blocks)
        counts.connect(steering.prompt_version)
        self._is_replay = True
        self._count_held_anew()
        steers: list[Steer] = []
        if steering.params.seed != self._seed:
            steers.append(Steer(seed=steering.params.seed))
        held = [
            one
            for steer in steering.held
            for one in self._translated(without_picture(self._without_repeats(steer)))
        ]
        planned = [one for one in held if one.action != "reset"] if self._heeds_plans else []
        planned = planned[:MAX_PLANNED]
        steers += [one for one in held if one not in planned]
        if self._picture is not None:
            steers.append(just_picture(self._picture))
        update = {"seed": self._seed, "num_blocks": left, "steers": tuple(planned) or None}
        return steering.params.model_copy(update=update), steers

    def take(self, message: FromWorker) -> FromWorker | None:
        """What the caller sees of a message of this connection; None where it is surplus."""
        if self._steering is None:  # nothing was asked for
            return message
        match message:
            case Frame():
                return self._take_frame(message)
            case Started():
                if self._in_force.reset:
                    self._begin(0)
                self._heeds_plans = message.block_frames is not None
                self._counts.shape.told(message)
                self._count_held_anew()
                if self._is_replay:
                    return message.model_copy(update={"num_blocks": self._num_blocks})
            case BlockDone():
                done = self._counts.take_block(message, self._total_frames)
                if done is not None and not self._counts.is_resetting:
                    self._saw_prompt(done.prompt_version)
                return done
            case Steered():
                return self._counts.added_to(message)
            case Completed() if not self._in_force.reset:  # else it crossed the reset
                self._begin(self._counts.block + 1)
                self._completed = True
            case Error() if not message.ends_session:
                # The worker forgets these params too.
                self._last = self._before
                self._steering = self._before or self._steering
        return message

    @property
    def _in_force(self) -> Steering:
        assert self._steering is not None, "nothing was started"
        return self._steering

    @property
    def _total_frames(self) -> int:
        return self._counts.shape.frames(self._num_blocks)

    @property
    def _num_blocks(self) -> int:
        return self._in_force.num_blocks or DEFAULT_BLOCKS

    def _go_on_as(self, steering: Steering) -> None:
        """Another stream, which the worker may refuse."""
        self._before, self._last, self._steering = self._last, steering, steering
        assert steering.params.seed is not None
        self._seed = steering.params.seed
        self._completed = False

    def _begin(self, block: int) -> None:
        """The worker comes to `block`: what waited for that is in force."""
        steering = self._in_force
        if not steering.reset:
            steering.due(block)
            if steering.reset:  # it was held for this block
                self._counts.reset()
        if steering.reset:
            seed = steering.start_over().seed
            assert seed is not None
            self._seed = seed

    def _take_frame(self, frame: Frame) -> Frame | None:
        counts = self._counts
        if counts.is_stale(frame):
            return counts.take(frame, self._total_frames)
        if counts.starts_anew(frame):  # the frames up to a reset that was held were dropped
            self._begin(self._held_reset())
        if self._in_force.reset:
            self._begin(0)
        last = counts.block
        taken = counts.take(frame, self._total_frames)
        if counts.block > last:  # so the worker is at the next one
            self._begin(counts.block + 1)
        if taken is not None and taken.prompt_version is not None and not counts.is_resetting:
            self._saw_prompt(taken.prompt_version)
        return taken

    def _held_reset(self) -> int:
        """The block that a reset is held for; -1 where none is."""
        resets = [held.at_block for held in self._in_force.held if held.action == "reset"]
        return min((block for block in resets if block is not None), default=-1)

    def _saw_prompt(self, version: int) -> None:
        """The worker may have made a block between two prompts; versions never go back."""
        self._in_force.prompt_version = max(self._in_force.prompt_version, version)

    def _in_blocks(self, steer: Steer) -> Steer:
        """A map that waits for a frame, with the block that contains it."""
        if steer.at_frame is None:
            return steer
        return steer.model_copy(update={"at_block": self._counts.block_at(steer.at_frame)})

    def _count_held_anew(self) -> None:
        """Blocks have another shape than was thought, or begin elsewhere: frames stay where they
        are."""
        steering = self._in_force
        steering.hold_anew([self._in_blocks(steer) for steer in steering.held])

    def _without_repeats(self, steer: Steer) -> Steer:
        """The steer as it counts, for a worker that has not seen the pictures before."""
        repeats = self._is_replay and self._in_force.repeats(steer)
        return without_prompt(steer) if repeats else steer

    def _translated(self, steer: Steer) -> list[Steer]:
        return translated(steer, self._counts, self._num_blocks) if self._is_replay else [steer]
