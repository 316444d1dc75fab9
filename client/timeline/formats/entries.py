"""Entries of Scope's files, older and newer, and whether they follow each other.

Its exports and its workflows name the same things in two spellings; `Fields` sees one.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from framewire.client.errors import TimelineError
from framewire.client.timeline.model import RATE, Entry, Method, Moment, WeightedText
from framewire.protocol.limits import MAX_BLENDED, MAX_PROMPT_CHARS, MAX_WEIGHT

from .fields import Fields, kind_of, number, wrong

METHODS: tuple[Method, ...] = ("linear", "slerp")
MOST_ENTRIES = 20_000
MOST_SECONDS = 1e7
MOST_FRAMES = int(MOST_SECONDS * RATE)
MOST_STEPS = 64
_TOUCH = 0.5 / RATE
"""Seconds by which two entries that meet may be apart: less than the time of a frame."""
_FOR_THE_EYE = {"id", "color", "is_live", "framewire"}
_FULL = 100.0


def entries_of(
    items: Sequence[Any], where: str, left_out: list[str], blend: Method | None = None
) -> tuple[Entry, ...]:
    """The entries of a list, one after the other from second 0.

    Args:
        where: the list's place in the file.
        left_out: told of what nothing here does.
        blend: how several texts of an entry are blended.

    Raises:
        TimelineError: one is wrong, or they don't follow each other.
    """
    if not items:
        raise TimelineError(f"{where}: is empty; expected at least one entry")
    if len(items) > MOST_ENTRIES:
        raise TimelineError(f"{where}: has {len(items)} entries; expected at most {MOST_ENTRIES}")
    found: list[Entry] = []
    for number_, item in enumerate(items):
        last = number_ == len(items) - 1
        found.append(_entry(Fields(item, f"{where}[{number_}]"), left_out, blend, is_last=last))
    _check_order(found, where)
    return tuple(found)


def _entry(fields: Fields, left_out: list[str], blend: Method | None, *, is_last: bool) -> Entry:
    start = fields.number("start_time", 0, MOST_SECONDS)
    goes_on = is_last and (not fields.has("end_time") or fields.get("is_live") is True)
    end = None if goes_on else fields.number("end_time", 0, MOST_SECONDS)
    if end is not None and end <= start:
        right = "expected an end after the start"
        raise wrong(fields.where, f"runs from {start:g} s to {end:g} s", right)
    steps: int | None = None
    if fields.has("transition_steps"):
        steps = fields.whole("transition_steps", 0, 1_000_000)
        if steps > MOST_STEPS:
            left_out.append(
                f"{fields.place('transition_steps')} {steps}: {MOST_STEPS} at most, taken instead"
            )
            steps = MOST_STEPS
    method: Method | None = None
    if fields.has("temporal_interpolation_method"):
        method = _method(fields.one_of("temporal_interpolation_method", METHODS))
    entry = Entry(
        start=_moment(fields, start),
        end=None if end is None else Moment(end),
        prompts=texts_of(fields, left_out),
        transition_steps=steps,
        transition=method,
        blend=_own_blend(fields) or blend,
    )
    for key, _ in fields.unread():
        if key not in _FOR_THE_EYE:
            left_out.append(f"{fields.place(key)}: not known here")
    return entry


def texts_of(fields: Fields, left_out: list[str]) -> tuple[WeightedText, ...]:
    """What an entry shows: `prompts` with weights, or the one `text` of older files.

    Raises:
        TimelineError: there is none, or one cannot be used.
    """
    said = fields.get("text")
    if not fields.has("prompts"):
        if said is None:
            raise wrong(fields.where, "has no prompts", 'expected "prompts": [{"text": "…"}]')
        return (WeightedText(prompt_text(said, fields.place("text"))),)
    items, place = fields.items("prompts"), fields.place("prompts")
    if not items:
        raise wrong(place, "is empty", 'expected at least one {"text": "…", "weight": 100}')
    found = [_weighted(item, f"{place}[{number_}]") for number_, item in enumerate(items)]
    found = [one for one in found if one.weight] if any(one.weight for one in found) else []
    if not found:
        raise wrong(place, "has no weight above 0", "expected at least one")
    if len(found) > MAX_BLENDED:
        left_out.append(f"{place}: {len(found)} texts; the {MAX_BLENDED} heaviest are blended")
        found = sorted(found, key=lambda one: -one.weight)[:MAX_BLENDED]
    return tuple(found)


def _weighted(item: Any, where: str) -> WeightedText:
    if isinstance(item, str):
        return WeightedText(prompt_text(item, where), _FULL)
    fields = Fields(item, where)
    text = prompt_text(fields.get("text"), fields.place("text"))
    weight = fields.number("weight", 0, MAX_WEIGHT) if fields.has("weight") else _FULL
    return WeightedText(text, weight)


def prompt_text(value: Any, where: str) -> str:
    """A prompt that can be sent.

    Raises:
        TimelineError: it is no text, blank or too long.
    """
    if not isinstance(value, str):
        raise wrong(where, f"is {kind_of(value)}", "expected a prompt")
    if not value.strip():
        raise wrong(where, "is blank", "expected a prompt")
    if len(value) > MAX_PROMPT_CHARS:
        right = f"expected at most {MAX_PROMPT_CHARS}"
        raise wrong(where, f"is a prompt of {len(value)} characters", right)
    try:
        value.encode()
    except UnicodeEncodeError:
        raise wrong(where, "has half of a character", "expected whole ones") from None
    return value


def _moment(fields: Fields, start: float) -> Moment:
    """The start; by our own field where that says more exactly the same."""
    if not isinstance(fields.get("framewire"), dict):
        return Moment(start)
    own = fields.fields("framewire")
    if own.has("frame"):
        frame = own.whole("frame", 0, MOST_FRAMES)
        if abs(frame - start * RATE) < 1:
            return Moment(frame, "f")
    return Moment(start)


def _own_blend(fields: Fields) -> Method | None:
    if not isinstance(fields.get("framewire"), dict):
        return None
    return method_of(fields.fields("framewire"), "blend")


def _check_order(entries: Sequence[Entry], where: str) -> None:
    start = entries[0].start
    first = start.at if start.unit == "s" else start.at / RATE
    if first > _TOUCH:
        right = "expected the first entry to begin at 0"
        raise wrong(f"{where}[0]", f"begins at {first:g} s", right)
    for number_, (entry, later) in enumerate(pairwise(entries)):
        assert entry.end is not None, "only the last one goes on"
        begins = later.start.at if later.start.unit == "s" else later.start.at / RATE
        apart, place = begins - entry.end.at, f"{where}[{number_ + 1}]"
        meets = f"expected it to begin at {entry.end.at:g} s, where {where}[{number_}] ends"
        if apart > _TOUCH:
            raise wrong(place, f"leaves a gap from {entry.end.at:g} s to {begins:g} s", meets)
        if apart < -_TOUCH:
            raise wrong(place, f"begins at {begins:g} s, within {where}[{number_}]", meets)


def method_of(fields: Fields, key: str) -> Method | None:
    """`linear` or `slerp`; None where there is none."""
    return _method(fields.one_of(key, METHODS)) if fields.has(key) else None


def _method(text: str) -> Method:
    return "slerp" if text == "slerp" else "linear"


def frame_number(value: Any, where: str) -> int:
    """The index of a frame.

    Raises:
        TimelineError: it is none.
    """
    found = number(value, where, 0, MOST_FRAMES)
    if not float(found).is_integer():
        raise wrong(where, f"is {found:g}", "expected a whole number")
    return int(found)
