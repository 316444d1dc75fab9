"""What the page is told: where to connect, which model is there, and what it can do.

The shape of `/page.json`, the same for a worker and for a hosted endpoint.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cache
from importlib import resources
from typing import Any

from framewire.protocol import MAX_SEED
from framewire.protocol.prompts.examples import example_prompts

SIZES = ((832, 480), (480, 832), (640, 640))
"""What is offered: landscape, portrait and square of about as many pixels."""
FRAME_SECONDS = 10.0
"""Without a frame that is due, after which the page gives a stream up."""
READY_SECONDS = 60.0
"""After which it gives up a server that does not say that it is ready, as `framewire.client` does."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """All that the page knows of its server before it connects.

    Attributes:
        socket: the URL to connect to; None where it is `/ws` of the page's own origin.
        auth: whether a token is needed, and a key to have one minted.
        hosted: whether this is fal's endpoint: bare JPEGs, no events, no `fps`, no resets.
        defaults: of the params, by the names that they have on the wire.
        multiple: width and height are snapped to it.
        first_block_frames, block_frames: of a stream's first block, and of each later one.
        fps: frames a second at which what was made looks right.
        sizes: that are offered: the model's native one first.
        unhonoured: what has no effect, by its key on the wire or the name of a mode, and why.
        expands: whether `/prompt/expand` makes prompts longer.
        loras: usual strengths of the adapters that a stream may change, by name.
        prompt_switches: what a stream may ask for at a new prompt, the usual one first.
        prompts: to begin with.
        draws: what the model can draw: words by their kind; empty where that is anything.
    """

    socket: str | None = None
    alias: str
    preset: str
    auth: bool
    hosted: bool = False
    defaults: Mapping[str, Any]
    multiple: int = 8
    first_block_frames: int = 6
    block_frames: int = 12
    fps: float = 16.0
    sizes: tuple[tuple[int, int], ...] = SIZES
    max_seed: int = MAX_SEED
    frame_seconds: float = FRAME_SECONDS
    ready_seconds: float = READY_SECONDS
    unhonoured: Mapping[str, str] = field(default_factory=dict)
    expands: bool = False
    loras: Mapping[str, float] = field(default_factory=dict)
    prompt_switches: tuple[str, ...] = ()
    prompts: tuple[str, ...] = ()
    draws: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What `/page.json` answers."""
        return asdict(self)


def suggestions(preset: str) -> dict[str, Any]:
    """`prompts` and `draws` of a preset."""
    kind = next((name for name in _drawn() if preset.startswith(name)), "")
    drawn = _drawn().get(kind, {})
    return {
        "prompts": example_prompts(preset),
        "draws": {what: tuple(words) for what, words in drawn.items()},
    }


@cache
def _drawn() -> Mapping[str, Mapping[str, list[str]]]:
    source = resources.files(__package__) / "words.json"
    return dict(json.loads(source.read_text(encoding="utf-8")))
