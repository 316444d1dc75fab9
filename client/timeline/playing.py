"""A timeline on its way through a session: streams one after the other, changes at their places.

Starts, steers and trims; what is to happen where is known from `moves`, when to send it from
`schedule`. Knows no socket.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol, Unpack, cast

from framewire.client.errors import FramewireError
from framewire.client.events import Event
from framewire.client.frames import Frame
from framewire.client.options import StartOptions, SteerOptions
from framewire.protocol import Started, Steered
from framewire.protocol.steering import BlockShape

from .journal import Journal
from .moves import Cue, Part
from .schedule import Due, Exactness, Schedule
from .shown import Change, Shown, text_of


class Streams(Protocol):
    """What a session does for it."""

    async def start(self, prompt: str | None = None, **options: Unpack[StartOptions]) -> None: ...

    async def steer(self, prompt: str | None = None, **options: Unpack[SteerOptions]) -> bool: ...

    async def reset(self, prompt: str | None = None, **options: Unpack[SteerOptions]) -> None: ...

    async def end(self) -> bool: ...

    def __aiter__(self) -> AsyncIterator[Frame]: ...


class Playing:
    """The frames of a timeline, by iterating over it once.

    A frame's `index` counts all that are shown, over resets too; a picture that is held comes again
    with an index of its own.

    Args:
        parts: streams, one after the other.
        options: params of the wire for all of them, over their own.
        blocks: the most that are made in all.
        on_change: told of each change as it is sent, or known to be held.
        on_shown: told of each change with the first frame that shows it.
        takes: which frames count; the others are left out.
        journal: what keeps the session, and is told of frames that are not shown, or held.

    Attributes:
        changes: that were sent or held so far.
        exactness: how changes are brought to their places; known from the first event or frame.
        differs: what was otherwise when a session was kept, a line each.
        started: what the worker has said of each stream.
        begun: set once the first stream was asked for: pictures can be sent.
        shown: frames so far.
    """

    def __init__(
        self,
        session: Streams,
        parts: Sequence[Part],
        options: Mapping[str, Any] | None = None,
        *,
        blocks: int | None = None,
        on_change: Callable[[Change], None] | None = None,
        on_shown: Callable[[Change], None] | None = None,
        takes: Callable[[Frame], bool] | None = None,
        journal: Journal | None = None,
    ) -> None:
        self.changes: list[Change] = []
        self.differs: list[str] = []
        self.started: list[Started] = []
        self.begun = asyncio.Event()
        self._is_on = False
        self.shown = 0
        self._changes_shown = Shown(text_of(parts[0].params) or "", on_shown)
        self._session = session
        self._parts = list(parts)
        self._options = {key: value for key, value in (options or {}).items() if value is not None}
        self._blocks_left = blocks
        self._on_change = on_change
        self._journal = journal
        self._takes = takes or (lambda frame: True)
        self._part = self._parts[0]
        self._schedule = Schedule(self._part.cues)
        self._asked: int | None = None
        self._seen = 0  # frames of the stream under way
        self._was_told = False  # that it began
        self._versions = self._blocks = 0  # of the streams before

    @property
    def text(self) -> str:
        """The prompt that the frame at hand shows."""
        return self._changes_shown.text

    @property
    def asked_text(self) -> str:
        """The prompt that was asked for last, whether or not a frame shows it."""
        return self._changes_shown.asked

    @property
    def is_planned(self) -> bool:
        """Whether changes, or other streams, are still to come by themselves."""
        is_last = self._part is self._parts[-1]
        return not is_last or bool(self.waiting) or self._changes_shown.is_planned

    @property
    def exactness(self) -> Exactness:
        return self._schedule.exactness

    @property
    def waiting(self) -> list[Cue]:
        """Changes of the stream under way, or of the last, that had no time to come."""
        return self._schedule.waiting

    def saw_event(self, event: Event) -> None:
        """The session has heard an event; of other streams, before and after, none counts."""
        if not self._is_on:
            return
        self._schedule.saw_event(event)
        for due in self._schedule.held():
            self._note(due)
        if isinstance(event, Started):
            if self._was_told and self._changes_shown.is_reset:
                self._changes_shown.begin_again(_text_told(event))
            elif self._was_told:
                self._changes_shown.go_on(self._schedule.shape.block_of(self._seen))
            self._was_told = True
            self.started.append(event)
            self._compare(event)
        elif isinstance(event, Steered):
            self._changes_shown.told(event)

    async def steer(self, label: str, **values: Any) -> Change | None:
        """Change the stream under way by hand, from the next block on.

        Args:
            label: what whoever asks for it calls the change.
            values: as `Session.steer` takes them.

        Returns:
            None if the stream had completed already: then nothing was sent.
        """
        change = self._by_hand(label, values)
        if not await self._session.steer(values.pop("prompt", None), **values):
            return None
        next_block = self._schedule.shape.block_of(self._seen) + 1
        self._changes_shown.expect(change, None if self.tells else next_block)
        self._keep(change)
        return change

    async def reset(self, label: str, **values: Any) -> Change:
        """Start the stream under way over, by hand, with the latest values and these.

        What is planned for it is dropped: see `is_planned`.
        """
        change = self._by_hand(label, values)
        await self._session.reset(values.pop("prompt", None), **values)
        self._changes_shown.expect_reset(change)
        self._keep(change)
        return change

    @property
    def tells(self) -> bool:
        """Whether the worker tells what takes effect where, as far as is known."""
        return self.exactness != "by counting frames" or not self._seen

    def __aiter__(self) -> AsyncGenerator[Frame]:
        return self._play()

    async def _play(self) -> AsyncGenerator[Frame]:
        try:
            for number, part in enumerate(self._parts):
                if self._blocks_left == 0:
                    return
                self._part = part
                is_last = number + 1 == len(self._parts)
                steering = await self._begin(part)
                try:
                    async for frame in self._stream(part, is_last=is_last):
                        yield frame
                finally:
                    steering.cancel()
                    await asyncio.gather(steering, return_exceptions=True)
        finally:
            self._is_on = False

    async def _begin(self, part: Part) -> asyncio.Task[None]:
        shape = self._schedule.shape if self.started else None
        self._schedule = Schedule(part.cues, shape)
        params = {**part.params, **self._options}
        prompt = params.pop("prompt")
        self._seen, self._was_told = 0, False
        self._changes_shown.begin(text_of(part.params) or str(prompt))
        self._asked = self._num_blocks(part, shape)
        if self._asked is not None:
            params["num_blocks"] = self._asked
        if params.get("events"):
            params["steers"] = self._schedule.planned or None
        self._is_on = True  # the first event may come before this is sent to the end
        await self._session.start(prompt, **cast(StartOptions, params))
        self.begun.set()
        return asyncio.create_task(self._steer())

    async def _stream(self, part: Part, *, is_last: bool) -> AsyncGenerator[Frame]:
        """The frames of one stream that are shown; what comes behind its last one is let pass."""
        taken = last_block = version = 0
        held = dict(_summed(part.holds))
        async for frame in self._session:
            is_first = frame.index == 0 and self._changes_shown.has_begun_again
            if frame.index < self._seen or is_first:  # it was reset
                self._count_stream(last_block, version)
                self._changes_shown.start_over(frame.received_at)
            self._seen = frame.index + 1
            self._schedule.saw_frame(frame.index)
            last_block = self._block_of(frame)
            version = frame.prompt_version or version
            is_over = part.frames is not None and taken >= part.frames
            surplus = self._seen - (part.frames or 0) if is_over else None
            # Asked of each, since who feeds the stream waits to hear of all that came.
            if not self._takes(frame) or surplus is not None:
                if self._journal is not None:
                    self._journal.leave_out()
                if surplus is not None and self._is_too_much(surplus):
                    await self._session.end()
                    if is_last:
                        break
                continue
            self._changes_shown.saw(last_block, frame.received_at)
            for _ in range(held.pop(0, 0) if taken == 0 else 0):
                yield self._held(frame, 0)
            yield self._counted(frame)
            taken += 1
            for _ in range(held.pop(taken, 0)):
                yield self._held(frame, taken)
        if self._seen:
            self._count_stream(last_block, version)
            if self._blocks_left is not None:
                self._blocks_left = max(0, self._blocks_left - last_block - 1)

    def _count_stream(self, last_block: int, version: int) -> None:
        """A stream is over: the next one's counts go on behind it."""
        self._blocks += last_block + 1
        self._versions += version

    def _held(self, frame: Frame, place: int) -> Frame:
        """The frame once more, as the pause has it that is before that place."""
        if self._journal is not None:
            self._journal.hold(place)
        return self._counted(frame)

    def _counted(self, frame: Frame) -> Frame:
        """The frame in the counts of all that is shown."""
        self.shown += 1
        block, version = frame.block, frame.prompt_version
        return replace(
            frame,
            index=self.shown - 1,
            block=None if block is None else block + self._blocks,
            prompt_version=None if version is None else version + self._versions,
        )

    def _block_of(self, frame: Frame) -> int:
        return self._schedule.shape.block_of(frame.index) if frame.block is None else frame.block

    def _num_blocks(self, part: Part, shape: BlockShape | None) -> int | None:
        """How many blocks to ask for: each has a frame at least, where its shape is not known."""
        found = None
        if part.frames is not None:
            found = part.frames if shape is None else shape.blocks_for(part.frames)
        asked = self._options.get("num_blocks", part.params.get("num_blocks"))
        if part.frames is None or self._is_whole_clip:
            found = asked
        limits = [one for one in (found, self._blocks_left) if one is not None]
        return min(limits, default=None)

    @property
    def _is_whole_clip(self) -> bool:
        """Its input ends it."""
        return (self._options | self._part.params).get("input") == "all"

    def _is_too_much(self, surplus: int) -> bool:
        """Whether a server goes on behind the end for longer than blocks that were under way."""
        return surplus > 4 * max(self._schedule.shape.first, self._schedule.shape.later)

    async def _steer(self) -> None:
        """Send what comes due, for as long as the stream lasts."""
        schedule = self._schedule
        try:
            while True:
                await schedule.changed.wait()
                schedule.changed.clear()
                await self._ask_for_fewer(schedule)
                for due in schedule.due():
                    if await self._send(due):
                        self._note(due)
        except FramewireError:
            return  # whoever reads the session is told

    async def _send(self, due: Due) -> bool:
        values = {**due.cue.values, **due.when}
        return await self._session.steer(values.pop("prompt", None), **cast(SteerOptions, values))

    async def _ask_for_fewer(self, schedule: Schedule) -> None:
        """Once the shape of its blocks is known, as many as the frames that are shown take."""
        frames, asked = self._part.frames, self._asked
        if frames is None or asked is None or self._is_whole_clip or not schedule.is_known:
            return
        needed = schedule.shape.blocks_for(frames)
        if needed < asked:
            self._asked = needed
            await self._session.steer(num_blocks=needed)

    def _note(self, due: Due) -> None:
        values = due.cue.values
        at_block = due.block if due.when else None
        change = Change(str(due.cue), text_of(values), at_block, self.shown, keys=frozenset(values))
        self._changes_shown.expect(change, due.block)
        self._keep(change)

    def _by_hand(self, label: str, values: Mapping[str, Any]) -> Change:
        change = Change(label, text_of(values), None, self.shown, keys=frozenset(values))
        change.sent_at = time.monotonic()
        return change

    def _keep(self, change: Change) -> None:
        self.changes.append(change)
        if self._on_change is not None:
            self._on_change(change)

    def _compare(self, event: Started) -> None:
        """What else the frames depend on, against what it was when they were kept."""
        for key, value in self._part.made_with.items():
            now = event.made_with.get(key)
            if event.made_with and now != value:
                said = f"{key} was {value} when it was kept, and is {now}"
                self.differs += [said] if said not in self.differs else []


def _text_told(event: Started) -> str | None:
    """The prompt that a stream begins with; None where the worker tells none that could be."""
    try:
        return text_of(event.params)
    except (FramewireError, TypeError, ValueError):
        return None


def _summed(holds: Sequence[tuple[int, int]]) -> dict[int, int]:
    found: dict[int, int] = {}
    for place, count in holds:
        found[place] = found.get(place, 0) + count
    return found
