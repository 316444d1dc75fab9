"""What `stream` plays: a prompt with its `--steer`s, or the file of `--timeline`. Checked here.

Decides what of a file goes without input, and says what is not honoured. Parsing is `cli`'s.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any

from framewire.client.errors import ParamsError, TimelineError
from framewire.client.options import StartOptions, params_from, steer_from
from framewire.client.timeline.formats.reading import load_timeline
from framewire.client.timeline.model import Timeline
from framewire.client.timeline.moves import Part, parts_of
from framewire.client.timeline.playing import Playing
from framewire.client.timeline.presets import preset_of

from .blend_option import prompts_of
from .lora_option import later
from .steer_plan import cue_of

_NO_INPUT = "settings.inputMode video: there is no --input, so it is made from text"
_FOR_INPUT = {
    "denoising_steps": "settings.denoisingSteps: refine input, and there is none; the model's own "
    "are taken",
    "strength": "settings.noiseScale: how far input is followed, and there is none",
    "noise_controller": "settings.noiseController: follows the motion of input, and there is none",
}


def look_at_timeline(options: argparse.Namespace) -> list[str]:
    """Put `played`, the timeline or None, and the file's size into the options. Blocks.

    Returns:
        What of it is not honoured, and what a person should know, a line each.

    Raises:
        TimelineError: it cannot be played.
        ParamsError: options that don't go together.
    """
    options.played = None
    if options.timeline is None:
        _check_prompt(options)
        return []
    for called, given in _prompts_given(options):
        if given:
            raise ParamsError(f"{called} and --timeline: the prompts are those of the file")
    found = load_timeline(options.timeline)
    if found.wants_input and not options.input:
        found = _without_input(found, options.timeline)
    bounded = options.frames or options.blocks or options.input
    if not bounded and (options.loop or (found.end is None and not found.pieces)):
        what = "a loop" if options.loop else options.timeline
        raise TimelineError(f"{what} has no end: say --frames N or --blocks N")
    options.played = found
    options.size = options.size or _size_of(found)
    return [*(f"not honoured: {text}" for text in found.not_honoured), *found.notes]


def parts_to_play(options: argparse.Namespace, start: StartOptions) -> list[Part]:
    """The streams to ask for, every param of them within its range.

    Raises:
        ParamsError: one is not.
        TimelineError: there is no frame to show.
    """
    if options.played is None:
        cues = [cue_of(steer, options.fps) for steer in options.steer]
        cues += later(options.lora, options.fps)
        prompt = None if options.blend else options.prompt  # of a blend it is the heaviest text
        shown = params_from(prompt, {"prompts": prompts_of(options)}).wire()
        parts = [Part(shown, cues, options.frames)]
    else:
        if later(options.lora, options.fps):
            raise ParamsError("--lora with a time does not go with --timeline")
        parts = parts_of(options.played, fps=options.fps, frames=options.frames, loop=options.loop)
    given = {key: value for key, value in start.items() if value is not None}
    for part in parts:
        said: dict[str, Any] = {**part.params, **given}
        params_from(said.pop("prompt"), said)  # type: ignore[arg-type]
        for cue in part.cues:
            steer_from(**{**cue.values, **cue.when})
    return parts


def played_as_dict(options: argparse.Namespace, playing: Playing) -> dict[str, Any]:
    """For `--json`."""
    timeline: Timeline = options.played
    return {
        "timeline": {
            "file": options.timeline,
            "format": timeline.format,
            "made_for": timeline.made_for,
            "frames": playing.shown,
            "streams": len(playing.started),
            "changes": playing.exactness,
        },
        "not_honoured": list(timeline.not_honoured),
        "notes": [*timeline.notes, *notes_on(timeline, playing)],
    }


def notes_on(timeline: Timeline, playing: Playing) -> list[str]:
    """What was found out on the way, a line each."""
    notes = list(playing.differs)
    if playing.started and timeline.made_for:
        backend = playing.started[0].backend
        if (preset_of(timeline.made_for) or timeline.made_for) != backend:
            notes.insert(0, f"made for {timeline.made_for}, played on {backend}")
    elif timeline.made_for and playing.shown:
        notes.insert(0, f"made for {timeline.made_for}; this server does not say what it runs")
    if playing.shown and playing.changes and playing.exactness == "by counting frames":
        notes.append(
            "this server holds no changes: they were sent by counting frames, and land a block or "
            "more late"
        )
    for change in playing.changes:
        if change.at_block is not None and change.block and change.block > change.at_block:
            notes.append(
                f"{change.when}: took effect at block {change.block}, not {change.at_block}"
            )
    return notes


def _prompts_given(options: argparse.Namespace) -> list[tuple[str, Any]]:
    return [
        ("PROMPT", options.prompt),
        ("--blend", options.blend),
        ("--steer", options.steer),
        ("--expand", options.expand),
    ]


def _check_prompt(options: argparse.Namespace) -> None:
    if options.prompt is None:
        raise ParamsError("nothing to show: give a PROMPT, or --timeline FILE")
    if options.loop:
        raise ParamsError("--loop is for a --timeline")


def _without_input(found: Timeline, name: str) -> Timeline:
    """As it can be played from text alone.

    Raises:
        TimelineError: it is a session that was made from pictures.
    """
    if found.pieces:
        clip = found.clip
        made_from = f"{clip.name} (SHA-256 {clip.sha256[:12]}…)" if clip else "a camera"
        raise TimelineError(f"{name}: was made from {made_from}: give it as --input")
    settings = dict(found.settings)
    left_out = [_NO_INPUT]
    left_out += [why for key, why in _FOR_INPUT.items() if settings.pop(key, None) is not None]
    return replace(found, settings=settings, not_honoured=(*found.not_honoured, *left_out))


def _size_of(found: Timeline) -> tuple[int, int] | None:
    params = found.pieces[0].params if found.pieces else found.settings
    if "width" not in params or "height" not in params:
        return None
    return int(params["width"]), int(params["height"])
