"""What a session that was kept showed when, as entries: for a person, for captions, and for Scope."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from framewire.protocol.steering import BlockShape

from .model import Entry, Method, Moment, Piece, WeightedText


def entries_of_pieces(pieces: Sequence[Piece]) -> tuple[Entry, ...]:
    """Entries from the frames at which their blocks begin; a prompt that is said again is none."""
    begins: dict[int, Entry] = {}
    before = 0
    for piece in pieces:
        shape = BlockShape(*piece.shape)
        begins[before] = _entry(piece.params, before)
        for steer in piece.steers:
            first = shape.frames(int(steer["at_block"]))
            if "prompt" in steer and first < piece.frames:
                held = sum(count for place, count in piece.holds if place <= first)
                begins[before + first + held] = _entry(steer, before + first + held)
        before += piece.frames + sum(count for _, count in piece.holds)
    places = [*sorted(begins), before]
    return tuple(
        _until(begins[place], Moment(end, "f")) for place, end in pairwise(places) if end > place
    )


def _entry(values: Any, frame: int) -> Entry:
    texts = values.get("prompts") or [{"text": values["prompt"], "weight": 1.0}]
    return Entry(
        start=Moment(frame, "f"),
        end=None,
        prompts=tuple(WeightedText(one["text"], one["weight"]) for one in texts),
        transition_steps=values.get("interp_steps"),
        transition=_method(values.get("transition")),
        blend=_method(values.get("blend")),
    )


def _until(entry: Entry, end: Moment) -> Entry:
    return Entry(
        entry.start,
        end,
        entry.prompts,
        entry.transition_steps,
        entry.transition,
        entry.blend,
    )


def _method(value: Any) -> Method | None:
    if not isinstance(value, dict):
        return None
    return "slerp" if value.get("method") == "slerp" else "linear"
