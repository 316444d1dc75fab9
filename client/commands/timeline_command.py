"""`framewire timeline check` and `show`: what a file would do, without a worker."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from typing import Any

from framewire.client.errors import TimelineError
from framewire.client.timeline.captions import captions
from framewire.client.timeline.formats.reading import load_timeline
from framewire.client.timeline.landing import Landing, blocks_of, landings
from framewire.client.timeline.model import RATE, Timeline
from framewire.client.timeline.moves import Part, parts_of, shown_frames
from framewire.client.timeline.picture import letter_of, picture_of
from framewire.client.timeline.presets import SHAPES, USUAL, preset_of, shape_of

from .file_name import file_name
from .terminal import columns, fitted, is_coloured, is_live, one_line, print_json, printable

_MOST_ROWS = 200


def run_timeline(options: argparse.Namespace) -> int:
    """Look at the file and say what it comes to; returns the exit code."""
    try:
        timeline = load_timeline(options.file)
        preset = options.preset or preset_of(timeline.made_for) or USUAL
        shape = shape_of(preset)
        frames = options.frames
        if options.blocks is not None:
            frames = min(shape.frames(options.blocks), frames or 10**9)
        if options.loop and frames is None and timeline.end is not None:
            raise TimelineError("a loop has no end: say --frames N or --blocks N")
        parts = parts_of(timeline, frames=frames, loop=options.loop)
    except TimelineError as error:
        if options.json:
            said = {"code": error.code, "reason": error.reason, "hint": error.hint}
            print_json({"file": options.file, "ok": False, "error": said}, sys.stdout)
        print(printable(f"framewire timeline {options.action}: {error}"), file=sys.stderr)
        return 2
    if options.action == "captions":
        print(captions(parts, shape), end="")
        return 0
    found = landings(parts, shape)
    if options.json:
        print_json(_as_dict(options.file, timeline, parts, found, preset), sys.stdout)
        return 0
    room = columns(sys.stdout) - 1 if is_live(sys.stdout) else 10**6
    for text in _told(options.file, timeline, parts, preset):
        print(one_line(text))
    if options.action == "show":
        width = columns(sys.stdout) - 1
        colour = is_coloured(sys.stdout)
        print(*picture_of(parts, shape, width, colour=colour), sep="\n")
    for index, landing in enumerate(found[:_MOST_ROWS]):
        row = _row(index, landing)
        print(fitted(row, room, sys.stdout.encoding))
    if len(found) > _MOST_ROWS:
        print(f"... and {len(found) - _MOST_ROWS} more")
    for text in timeline.not_honoured:
        print(printable(f"framewire: not honoured: {text}"), file=sys.stderr)
    for text in timeline.notes:
        print(printable(f"framewire: {text}"), file=sys.stderr)
    return 0


def _told(name: str, timeline: Timeline, parts: list[Part], preset: str) -> Iterator[str]:
    shape = shape_of(preset)
    frames, blocks = shown_frames(parts), blocks_of(parts, shape)
    made_for = f", made for {timeline.made_for}" if timeline.made_for else ""
    yield f"{name}: {timeline.format}{made_for}"
    a_block = f"{shape.first} frames, then {shape.later} a block ({preset})"
    if frames is None or blocks is None:
        yield f"no end: bound it with --frames or --blocks; {a_block}"
        return
    several = f" in {len(parts)} streams" if len(parts) > 1 else ""
    yield f"{frames} frames, {frames / RATE:.2f} s, {blocks} blocks{several}; {a_block}"


def _row(index: int, landing: Landing) -> str:
    begins, values = landing.begins, landing.values
    steps = values.get("interp_steps")
    over = f" (over {steps} blocks)" if steps and steps > 1 and not landing.starts else ""
    where = f"{begins / RATE:8.2f} s  block {landing.block:4}  frame {begins:6}"
    return f"{letter_of(index)} {where}  {_shown(values)}{over}"


def _shown(values: Any) -> str:
    texts = values.get("prompts")
    if texts:
        return " + ".join(f"{one['text']} ({one['weight']:g})" for one in texts)
    if "prompt" in values:
        return str(values["prompt"])
    return ", ".join(f"{key} {value}" for key, value in values.items())


def _as_dict(
    name: str, timeline: Timeline, parts: list[Part], found: list[Landing], preset: str
) -> dict[str, Any]:
    shape, frames = shape_of(preset), shown_frames(parts)
    return {
        "file": name,
        "ok": True,
        "format": timeline.format,
        "made_for": timeline.made_for,
        "preset": preset,
        "entries": len(timeline.entries),
        "streams": len(parts),
        "frames": frames,
        "seconds": None if frames is None else round(frames / RATE, 3),
        "blocks": blocks_of(parts, shape),
        "settings": dict(timeline.settings),
        "changes": [
            {
                "frame": one.frame,
                "block": one.block,
                "begins": one.begins,
                "starts": one.starts,
                "values": dict(one.values),
            }
            for one in found
        ],
        "not_honoured": list(timeline.not_honoured),
        "notes": list(timeline.notes),
    }


def add_timeline_options(parser: argparse.ArgumentParser) -> None:
    """The options of `framewire timeline`."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    for name, about in (
        ("check", "say how many blocks and frames it comes to, and what of it is not honoured"),
        ("captions", "print WebVTT captions: what is shown when"),
        ("show", "draw it: what is shown over time, and where blocks begin"),
    ):
        action = actions.add_parser(name, help=about, description=about)
        action.add_argument("file", type=file_name, metavar="FILE")
        action.add_argument(
            "--preset",
            choices=sorted(SHAPES),
            help=f"whose blocks are counted (default: the file's own, else {USUAL})",
        )
        action.add_argument("--frames", type=_count, metavar="N", help="the most that are shown")
        action.add_argument("--blocks", type=_count, metavar="N", help="the same in blocks")
        action.add_argument("--loop", action="store_true", help="begin anew behind the end")
        action.add_argument("--json", action="store_true", help="print one JSON object")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:20]) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number, more than 0")
    return int(text)
