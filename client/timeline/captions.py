"""A timeline as WebVTT captions (W3C): what is shown, for players that have them beside a video."""

from __future__ import annotations

from framewire.protocol import escaped
from framewire.protocol.steering import BlockShape

from .landing import landings
from .model import RATE
from .moves import Part, shown_frames

_TAIL = 5.0
"""Seconds that the caption of what has no end stays."""


def captions(parts: list[Part], shape: BlockShape, *, fps: float = RATE) -> str:
    """The file's text: one cue for each change of the prompt, from the block in which it lands."""
    found = [one for one in landings(parts, shape) if "prompt" in one.values]
    total = shown_frames(parts)
    last = found[-1].begins / fps + _TAIL if total is None else total / fps
    ends = [*(one.begins / fps for one in found[1:]), last]
    cues = [
        f"{_time(one.begins / fps)} --> {_time(end)}\n{_text(one.values)}\n"
        for one, end in zip(found, ends, strict=True)
        if end > one.begins / fps
    ]
    return "\n".join(["WEBVTT\n", *cues])


def _time(seconds: float) -> str:
    """`00:01:02.500`"""
    milliseconds = round(seconds * 1000)
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{rest // 1000:02}.{rest % 1000:03}"


def _text(values: object) -> str:
    """In one line, with what the format has a meaning for written as what it is."""
    assert isinstance(values, dict)
    texts = values.get("prompts") or [{"text": values["prompt"]}]
    text = " + ".join(escaped(" ".join(str(one["text"]).split())) for one in texts)
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
