"""From a file to a timeline: which of the formats it is, and what reads that.

Knows no format's fields.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from framewire.client.errors import TimelineError, in_words
from framewire.client.timeline.model import Timeline

from .fields import kind_of, wrong
from .kept import read_kept
from .keyed import is_keyed, read_keyed
from .prompt_list import read_prompt_lines, read_prompt_list
from .scope import read_scope
from .workflow import FORMAT, read_workflow

MOST_BYTES = 32_000_000
_KNOWN = (
    "expected a Scope timeline or workflow, prompts by frame, or a prompt list with "
    "switch_frame_indices"
)


def load_timeline(path: str | Path) -> Timeline:
    """The timeline of a file. Blocks.

    Raises:
        TimelineError: it cannot be read, or is none; says which entry, and what would be right.
    """
    path = Path(path)
    try:
        with path.open("rb") as file:
            data = file.read(MOST_BYTES + 1)
    except OSError as error:
        raise TimelineError(f"{path}: {in_words(error)}") from error
    try:
        return timeline_of(data, lines=path.suffix.lower() == ".jsonl")
    except TimelineError as error:
        raise TimelineError(f"{path}: {error.reason}") from None


def timeline_of(data: bytes | str, *, lines: bool = False) -> Timeline:
    """The timeline of what is in a file.

    Args:
        lines: it is known to be one object a line.

    Raises:
        TimelineError: it is none; says which entry, and what would be right.
    """
    if len(data) > MOST_BYTES:
        raise TimelineError(f"is larger than {MOST_BYTES // 10**6} MB; expected a timeline")
    try:
        text = data.decode("utf-8-sig") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        raise TimelineError(f"is no UTF-8 (byte {error.start}); expected JSON in UTF-8") from None
    if not text.strip():
        raise TimelineError(f"is empty; {_KNOWN}")
    if lines:
        return read_prompt_lines(text)
    try:
        value = _parsed(text)
    except json.JSONDecodeError as error:
        if text.lstrip().startswith('"'):  # ComfyUI's nodes have no braces around it
            return _read(_tried("{" + text.strip().rstrip(",") + "}", error))
        if len([line for line in text.split("\n") if line.strip()]) > 1 and _is_lines(text):
            return read_prompt_lines(text)
        raise _no_json(error) from None
    return _read(value)


def _read(value: Any) -> Timeline:
    if not isinstance(value, dict):
        raise wrong("the file", f"is {kind_of(value)}", _KNOWN)
    if value.get("format") == FORMAT:
        return read_workflow(value)
    if is_keyed(value):
        return read_keyed(value)
    if "version" in value:
        return read_kept(value, read_scope(value))
    if isinstance(value.get("prompts"), list) and "settings" not in value:
        entries = value["prompts"]
        if not entries or isinstance(entries[0], str):
            return read_prompt_list(value)
    if "prompts" in value:
        return read_scope(value)  # which says that the version is missing
    keys = ", ".join(sorted(map(str, value))[:5])
    raise wrong("the file", f"has {keys[:80] or 'nothing in it'}", _KNOWN)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text, object_pairs_hook=_without_twins)
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise TimelineError(f"has a number that is none ({error})") from None
    except RecursionError:
        raise TimelineError("is nested too deep; expected a timeline") from None


def _tried(text: str, error: json.JSONDecodeError) -> Any:
    try:
        return _parsed(text)
    except json.JSONDecodeError:
        raise _no_json(error) from None


def _no_json(error: json.JSONDecodeError) -> TimelineError:
    return TimelineError(
        f"line {error.lineno}, column {error.colno}: no JSON ({error.msg}); expected a timeline"
    )


def _is_lines(text: str) -> bool:
    first = next(line for line in text.split("\n") if line.strip())
    try:
        return isinstance(json.loads(first), dict)
    except (ValueError, RecursionError):
        return False


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twin = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise TimelineError(f"{twin!r:.60} stands there twice; expected it once")
    return found
