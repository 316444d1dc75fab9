"""Lists of prompts with the latent frames at which they change, as LongLive and MemFlow have them.

One JSON object a line, `{"prompts": ["…", "…"], "switch_frame_indices": [12]}`; the indices may also
stand in a line of their own before, or be a text, "12, 24". A latent frame is four frames.
"""

from __future__ import annotations

import json
from typing import Any

from framewire.client.errors import TimelineError
from framewire.client.timeline.model import Timeline

from .entries import MOST_ENTRIES, MOST_FRAMES, frame_number, prompt_text
from .fields import Fields, kind_of, wrong
from .keyed import from_frames

FRAMES_PER_LATENT = 4
_SWITCHES = "switch_frame_indices"
_LENGTHS = ("num_output_frames", "num_frames")


def read_prompt_lines(text: str) -> Timeline:
    """A timeline of the first list; other lines are other videos.

    Raises:
        TimelineError: a line is no such object, or something of it is wrong.
    """
    lines = [(number, line) for number, line in enumerate(text.split("\n"), 1) if line.strip()]
    switches: Any = None
    loose: list[tuple[str, Any]] = []  # lines of one prompt each
    for place, (number, line) in enumerate(lines):
        where = f"line {number}"
        fields = Fields(_parsed(line, where), where)
        switches = fields.get(_SWITCHES) if fields.has(_SWITCHES) else switches
        if fields.has("prompts"):
            rest = len(lines) - place - 1
            others = (f"{rest} more lines: one video a line, the first is played",)
            return _timeline(fields, switches, others if rest else ())
        for key in ("prompt", "text"):
            if fields.has(key):
                loose.append((where, fields.get(key)))
    if not loose:
        raise TimelineError('no line has prompts; expected {"prompts": ["…", "…"], …}')
    texts = [prompt_text(value, where) for where, value in loose]
    return _from_switches(texts, _switches(switches, len(texts), _SWITCHES), None, ())


def read_prompt_list(value: dict[str, Any]) -> Timeline:
    """The same of a file that is one such object."""
    fields = Fields(value, "")
    return _timeline(fields, fields.get(_SWITCHES), ())


def _timeline(fields: Fields, switches: Any, left_out: tuple[str, ...]) -> Timeline:
    place, items = fields.place("prompts"), fields.items("prompts")
    if not items:
        raise wrong(place, "is empty", "expected at least one prompt")
    if len(items) > MOST_ENTRIES:
        raise wrong(place, f"has {len(items)} prompts", f"expected at most {MOST_ENTRIES}")
    texts = [prompt_text(item, f"{place}[{index}]") for index, item in enumerate(items)]
    end = None
    for key in _LENGTHS:
        if fields.has(key):
            end = fields.whole(key, 1, MOST_FRAMES // FRAMES_PER_LATENT) * FRAMES_PER_LATENT
    unknown = (f"{fields.place(key)}: not known here" for key, _ in fields.unread())
    places = _switches(switches, len(texts), fields.place(_SWITCHES))
    return _from_switches(texts, places, end, (*left_out, *unknown))


def _from_switches(
    texts: list[str], places: list[int], end: int | None, left_out: tuple[str, ...]
) -> Timeline:
    begins = dict(zip([0, *places], texts, strict=True))
    return Timeline(
        entries=from_frames(begins, "prompts", end),
        format="prompt list",
        not_honoured=left_out,
    )


def _switches(value: Any, prompts: int, place: str) -> list[int]:
    """The frames at which the second and each later prompt begins."""
    if isinstance(value, str):
        parts = [part.strip() for part in value.split(",") if part.strip()]
        value = [int(part) if part.isdecimal() and len(part) < 12 else part for part in parts]
    if value is None:
        value = []
    if not isinstance(value, list):
        raise wrong(place, f"is {kind_of(value)}", "expected latent frames, such as [12, 24]")
    if len(value) != prompts - 1:
        right = f"expected {prompts - 1}, one less than there are prompts"
        raise wrong(place, f"has {len(value)} for {prompts} prompts", right)
    found: list[int] = []
    for index, item in enumerate(value):
        frame = frame_number(item, f"{place}[{index}]") * FRAMES_PER_LATENT
        if frame <= (found[-1] if found else 0):
            right = "expected each later than the one before"
            raise wrong(f"{place}[{index}]", f"is {item}", right)
        found.append(frame)
    return found


def _parsed(line: str, where: str) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError) as error:
        raise wrong(where, f"is no JSON ({error})", "expected one object a line") from None
