"""What a timeline is, whatever file it came from: entries over time, settings, markers, pieces.

Values only. That entries follow each other without gap or overlap is checked where one is made of
a file; what lands in which block of a stream is not known here.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Unit = Literal["s", "f", "b"]
Method = Literal["linear", "slerp"]

RATE = 16.0
"""Frames a second of every model that there is a preset for."""


@dataclass(frozen=True, slots=True)
class Moment:
    """A place in a stream: seconds, a frame's index or a block's.

    Attributes:
        unit: "s", "f" or "b".
    """

    at: float
    unit: Unit = "s"

    def __str__(self) -> str:
        return f"{self.at:g}{self.unit}"

    def frame(self, fps: float = RATE) -> int | None:
        """The frame that it is at; None of a block, which only the stream's shape can tell."""
        if self.unit == "b":
            return None
        return round(self.at * fps) if self.unit == "s" else int(self.at)


@dataclass(frozen=True, slots=True)
class WeightedText:
    """One text of what an entry shows. Only the ratios of the weights count."""

    text: str
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Entry:
    """What is shown for a while.

    Attributes:
        end: None where it lasts until the stream is ended.
        prompts: one text, or several that are blended.
        transition_steps: blocks over which it takes over from the entry before; 0 and 1 at once,
            None as the model usually does.
        transition: how what lies between the two is found.
        blend: how what lies between its own texts is found.
    """

    start: Moment
    end: Moment | None
    prompts: tuple[WeightedText, ...]
    transition_steps: int | None = None
    transition: Method | None = None
    blend: Method | None = None

    @property
    def text(self) -> str:
        """The text that weighs the most, the first of those."""
        return max(self.prompts, key=lambda one: one.weight).text

    def values(self) -> dict[str, Any]:
        """As a map of the wire says it, but for when and how it takes over."""
        found: dict[str, Any] = {"prompt": self.text}
        if len(self.prompts) > 1:
            found["prompts"] = [{"text": one.text, "weight": one.weight} for one in self.prompts]
            if self.blend is not None and (self.blend == "linear" or len(self.prompts) == 2):
                found["blend"] = {"method": self.blend}
        return found

    def change(self) -> dict[str, Any]:
        """As a map of the wire says it, taking over from the entry before."""
        found = self.values()
        if self.transition_steps is not None:
            found["interp_steps"] = max(1, self.transition_steps)
        if self.transition is not None:
            found["transition"] = {"method": self.transition}
        return found


@dataclass(frozen=True, slots=True)
class Marker:
    """What is done at a moment, beside showing other prompts.

    Attributes:
        kind: `reset` starts the stream over with the prompt of that moment, `pause` holds the
            picture for `seconds`, `jump` goes on at `to`, so many `times` and then no more.
    """

    at: Moment
    kind: Literal["reset", "pause", "jump"]
    seconds: float = 0.0
    to: Moment | None = None
    times: int = 1


@dataclass(frozen=True, slots=True)
class Piece:
    """One stream as it was: what it takes to make the same frames again.

    Attributes:
        params: of the wire, with the seed; without pictures.
        steers: maps of the wire, each with the `at_block` that it took effect at.
        frames: how many came.
        made_with: what else their bytes depend on, as the worker said.
        start_frame: SHA-256 of the start frame; None where there was none.
        holds: frames before which the one before them was shown for so many frames more.
        shape: frames of its first block and of each later one.
        is_exact: whether the worker told all of this; else blocks are where they were thought to be.
    """

    params: Mapping[str, Any]
    steers: tuple[Mapping[str, Any], ...]
    frames: int
    made_with: Mapping[str, str | int | float | bool] = field(default_factory=dict)
    start_frame: str | None = None
    holds: tuple[tuple[int, int], ...] = ()
    shape: tuple[int, int] = (6, 12)
    is_exact: bool = True


@dataclass(frozen=True, slots=True)
class Clip:
    """The video or the pictures that a session was made from."""

    name: str
    sha256: str


@dataclass(frozen=True, slots=True)
class Timeline:
    """Prompts over time, or a session that was kept.

    Attributes:
        format: what it was read as, for a person.
        settings: params of the wire for the whole stream.
        made_for: the pipeline or preset that it was written for; None where it doesn't say.
        wants_input: it was written for a clip or a camera.
        not_honoured: what of the file nothing here does, a line each.
        notes: what a person should know of it beside that.
        pieces: of a session that was kept; they are played instead of the entries.
        clip: what the session was made from, where that was a clip.
        original_prompt: what its first prompt was before it was expanded.
    """

    entries: tuple[Entry, ...]
    format: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    markers: tuple[Marker, ...] = ()
    made_for: str | None = None
    wants_input: bool = False
    not_honoured: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pieces: tuple[Piece, ...] = ()
    clip: Clip | None = None
    original_prompt: str | None = None

    @property
    def end(self) -> Moment | None:
        """Where its last entry ends; None where it doesn't."""
        return self.entries[-1].end
