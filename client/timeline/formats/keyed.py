"""Prompts by frame, as Deforum and ComfyUI write them: `{"0": "…", "48": "…"}`.

Deforum's settings, which hold such a map as `prompts`, say size, seed and length as well.
"""

from __future__ import annotations

from typing import Any

from framewire.client.errors import TimelineError
from framewire.client.timeline.model import Entry, Moment, Timeline, WeightedText

from .entries import MOST_ENTRIES, MOST_FRAMES, frame_number, prompt_text
from .fields import Fields, wrong
from .settings import Settings, read_settings

_NEGATIVE = "--neg"
_DEFORUM = {"W": "width", "H": "height", "seed": "seed"}


def is_keyed(value: dict[str, Any]) -> bool:
    """Whether all keys are frames, or one is `prompts` with such keys."""
    inner = value.get("prompts")
    return _are_frames(inner if isinstance(inner, dict) else value)


def read_keyed(value: dict[str, Any]) -> Timeline:
    """A timeline of such a map; it has no end, unless it is Deforum's.

    Raises:
        TimelineError: a frame or a prompt is wrong.
    """
    inner, found, end = value.get("prompts"), Settings(), None
    if not isinstance(inner, dict):
        prompts, where = value, ""
    else:
        prompts, where = inner, "prompts"
        end = _read_deforum(value, found)
    if len(prompts) > MOST_ENTRIES:
        raise TimelineError(f"has {len(prompts)} prompts; expected at most {MOST_ENTRIES}")
    texts: dict[int, str] = {}
    for key, text in prompts.items():
        place = f"{where}[{key!r:.40}]"
        frame = _frame_of(key, place)
        if frame in texts:
            raise wrong(place, f"is frame {frame} once more", "expected one prompt a frame")
        texts[frame] = _prompt(text, place, found)
    return Timeline(
        entries=from_frames(texts, where, end),
        format="prompts by frame",
        settings=found.params,
        not_honoured=tuple(found.left_out),
    )


def from_frames(texts: dict[int, str], where: str, end: int | None) -> tuple[Entry, ...]:
    """Entries from the frames at which they begin, the last of them until `end`.

    Raises:
        TimelineError: none begins at frame 0, or one behind the end.
    """
    if not texts:
        raise wrong(where or "the file", "has no prompts", 'expected {"0": "…", "48": "…"}')
    begins = sorted(texts)
    if begins[0] != 0:
        place = f"{where}['{begins[0]}']"
        raise wrong(place, f"is the first, at frame {begins[0]}", "expected a prompt at frame 0")
    if end is not None and end <= begins[-1]:
        place = f"{where}['{begins[-1]}']"
        raise wrong(place, f"begins behind the end, {end} frames", "expected it before that")
    ends = [
        *(Moment(frame, "f") for frame in begins[1:]),
        None if end is None else Moment(end, "f"),
    ]
    return tuple(
        Entry(Moment(frame, "f"), stop, (WeightedText(texts[frame]),))
        for frame, stop in zip(begins, ends, strict=True)
    )


def _are_frames(value: dict[str, Any]) -> bool:
    return bool(value) and all(key.strip().lstrip("+-").isdigit() for key in value)


def _frame_of(key: str, place: str) -> int:
    text = key.strip()
    if not (text.isascii() and text.isdecimal()) or len(text) > 12:
        right = f"expected a frame's number, 0 to {MOST_FRAMES}"
        raise wrong(place, "is no frame", right)
    return frame_number(int(text), place)


def _prompt(text: Any, place: str, found: Settings) -> str:
    prompt = prompt_text(text, place)
    wanted, marked, unwanted = prompt.partition(_NEGATIVE)
    if marked:
        found.left_out.append(f"{place}: what is not wanted ({unwanted.strip()!r:.60})")
        prompt = prompt_text(wanted.strip(), place)
    return prompt


def _read_deforum(value: dict[str, Any], found: Settings) -> int | None:
    by_chance = value.get("seed") == -1
    said = {key: each for key, each in value.items() if not (by_chance and key == "seed")}
    fields = Fields({_DEFORUM.get(key, key): each for key, each in said.items()}, "")
    fields.get("prompts")
    end = fields.whole("max_frames", 1, MOST_FRAMES) if fields.has("max_frames") else None
    read_settings(fields, found)
    return end
