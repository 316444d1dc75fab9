"""Where a timeline's moments lie in what is made of it: streams, changes in them, held pictures.

Follows the playhead through entries, markers and, if asked to, from the end back to the start.
Counts frames; which block one is in is up to the stream.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from framewire.client.errors import TimelineError

from .model import RATE, Moment, Piece, Timeline

MOST_CUES = 20_000
"""Changes of one playing, so that a loop without end has one in a day or two."""


@dataclass(frozen=True, slots=True)
class Cue:
    """A change and the place that it is for.

    Attributes:
        at: a frame's or a block's index, in its stream.
        values: as a map of the wire says them.
        label: what whoever asked for it calls the place.
    """

    at: int
    unit: Literal["f", "b"]
    values: Mapping[str, Any]
    label: str = ""

    def __str__(self) -> str:
        return self.label or f"{self.at}{self.unit}"

    @property
    def when(self) -> dict[str, int]:
        """What holds it until then, as a map of the wire says it."""
        return {"at_frame" if self.unit == "f" else "at_block": self.at}


@dataclass(slots=True)
class Part:
    """One stream.

    Attributes:
        params: of the wire, the prompt among them.
        cues: what changes later, in order.
        frames: how many of it are shown; None for no end.
        holds: frames before which the one before them stays for so many frames more.
        made_with: what the stream depended on when it was kept.
    """

    params: dict[str, Any]
    cues: list[Cue] = field(default_factory=list)
    frames: int | None = None
    holds: list[tuple[int, int]] = field(default_factory=list)
    made_with: dict[str, Any] = field(default_factory=dict)


def parts_of(
    timeline: Timeline, *, fps: float = RATE, frames: int | None = None, loop: bool = False
) -> list[Part]:
    """The streams that a timeline is played as; several where it is reset, or was kept in pieces.

    Args:
        fps: frames a second, by which seconds become frames.
        frames: the most that are shown.
        loop: go on at the start behind the end.

    Raises:
        TimelineError: there is no frame to show.
    """
    if timeline.pieces:
        return _kept(timeline, frames)
    return _Playhead(timeline, fps, frames, loop).run()


def shown_frames(parts: list[Part]) -> int | None:
    """How many frames come of them, held ones too; None for no end."""
    found = 0
    for part in parts:
        if part.frames is None:
            return None
        found += part.frames + _held(part)
    return found


def _held(part: Part) -> int:
    return sum(count for _, count in part.holds)


def _kept(timeline: Timeline, frames: int | None) -> list[Part]:
    parts, left = [], frames
    for piece in timeline.pieces:
        count, holds = _within(piece, left)
        cues = [
            Cue(int(steer["at_block"]), "b", {k: v for k, v in steer.items() if k != "at_block"})
            for steer in piece.steers
        ]
        part = Part(
            params=dict(piece.params),
            cues=cues,
            frames=count,
            holds=holds,
            made_with=dict(piece.made_with),
        )
        parts += [part] if count else []
        left = None if left is None else left - count - _held(part)
    if not parts:
        raise TimelineError("no frame was kept")
    return parts


def _within(piece: Piece, most: int | None) -> tuple[int, list[tuple[int, int]]]:
    """The frames of a kept piece and its holds, as many as are shown in all."""
    if most is None:
        return piece.frames, list(piece.holds)
    frames, room, holds = 0, most, []
    for place, count in sorted(piece.holds):
        more = min(max(place, 1), piece.frames) - frames  # there has to be one to hold
        frames, room = frames + min(more, room), room - min(more, room)
        held = min(count, room)
        holds += [(place, held)] if held else []
        room -= held
    return frames + min(piece.frames - frames, room), holds


class _Playhead:
    """Goes from place to place of interest, and notes what is to happen there.

    Attributes:
        at: where it is, in frames of the timeline.
        shown: frames that came of it so far.
    """

    def __init__(self, timeline: Timeline, fps: float, limit: int | None, loop: bool) -> None:
        def frame(moment: Moment) -> int:
            found = moment.frame(fps)
            assert found is not None, "entries are in seconds or frames"
            return found

        self.at = self.shown = 0
        self.parts: list[Part] = []
        self._entries = timeline.entries
        self._settings = timeline.settings
        self._starts = [frame(entry.start) for entry in timeline.entries]
        self._marks = [(frame(marker.at), marker) for marker in timeline.markers]
        self._targets = [marker.to and frame(marker.to) for marker in timeline.markers]
        self._pauses = [round(marker.seconds * fps) for marker in timeline.markers]
        self._end = None if timeline.end is None else frame(timeline.end)
        self._limit = limit
        self._loop = loop
        self._current = -1
        self._next_mark = 0
        self._jumped = [0] * len(timeline.markers)
        self._began = 0  # of the frames shown, where this part began
        self._wrapped = 0  # of the frames shown, where the start was come back to

    def run(self) -> list[Part]:
        """All parts, to the end."""
        if self._end == 0 or self._limit == 0:
            raise TimelineError("lasts for less than a frame")
        self._begin()
        steps = 0
        while self._step():
            steps += 1
            if steps > MOST_CUES:
                raise TimelineError(
                    f"has more than {MOST_CUES} changes, each loop and jump counted"
                )
        if not any(part.frames is None or part.frames for part in self.parts):
            raise TimelineError("lasts for less than a frame")
        return [part for part in self.parts if part.frames != 0]

    def _step(self) -> bool:
        """To the next place of interest; False where that is the end."""
        marks = self._marks[self._next_mark : self._next_mark + 1]
        stops = [max(frame, self.at) for frame, _ in marks]
        stops += [start for start in self._starts if start > self.at][:1]
        stops += [] if self._end is None else [self._end]
        stop = min(stops, default=None)
        if self._limit is not None and (stop is None or stop - self.at >= self._limit - self.shown):
            self.shown = self._limit
            return self._finish()
        if stop is None:
            self.parts[-1].frames = None
            return False
        self.shown += stop - self.at
        self.at = stop
        if marks and stops[0] == stop:
            self._next_mark += 1
            self._pass(self._next_mark - 1)
        elif self._end is not None and self.at >= self._end:
            if not self._loop:
                return self._finish()
            self._wrap()
        self._show()
        return True

    def _pass(self, index: int) -> None:
        marker = self._marks[index][1]
        if marker.kind == "reset":
            self._finish()
            self._begin()
        elif marker.kind == "pause":
            room = self._pauses[index] if self._limit is None else self._limit - self.shown
            held = min(self._pauses[index], room)
            self.parts[-1].holds.append((self._place, held))
            self.shown += held
        elif self._jumped[index] < marker.times:
            self._jumped[index] += 1
            self._go_to(self._targets[index] or 0)

    def _go_to(self, frame: int) -> None:
        self.at = frame
        marks = enumerate(self._marks)
        self._next_mark = next((i for i, (at, _) in marks if at >= frame), len(self._marks))

    def _wrap(self) -> None:
        if self.shown == self._wrapped:
            raise TimelineError("comes back to its start without a frame between")
        self._wrapped = self.shown
        self._jumped = [0] * len(self._jumped)
        self._go_to(0)

    @property
    def _place(self) -> int:
        """In the stream under way."""
        return self.shown - self._began - _held(self.parts[-1])

    @property
    def _entry(self) -> int:
        return bisect_right(self._starts, self.at) - 1

    def _begin(self) -> None:
        self._began, self._current = self.shown, self._entry
        values = self._entries[self._current].values()
        self.parts.append(Part({**self._settings, **values}))

    def _finish(self) -> bool:
        part = self.parts[-1]
        part.frames = self._place
        if not part.frames and _held(part):  # there has to be one to hold
            part.frames, part.holds = 1, [(0, _held(part) - 1)]
        part.cues = [cue for cue in part.cues if cue.at < self._place]
        return False

    def _show(self) -> None:
        if self._entry != self._current:
            self._current = self._entry
            values = self._entries[self._current].change()
            self.parts[-1].cues.append(Cue(self._place, "f", values))
