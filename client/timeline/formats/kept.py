"""A session that was kept, as it stands in a file beside a timeline of its prompts.

`framewire.pieces` holds what it takes to make the same frames again: one stream each, in the maps of
the wire. They count as long as the prompts beside them are the same as when they were written.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from framewire.client.errors import TimelineError
from framewire.client.timeline.model import Clip, Piece, Timeline
from framewire.protocol import Params, Steer

from .entries import MOST_FRAMES, frame_number
from .fields import Fields, wrong

_MOST_PIECES = 1000
_MOST_STEERS = 20_000
_EDITED = (
    "framewire.pieces: the prompts were changed since they were kept, so these are played, not the "
    "session"
)


def read_kept(value: dict[str, Any], timeline: Timeline) -> Timeline:
    """The timeline with the session that is kept beside it, if there is one.

    Raises:
        TimelineError: something of it is wrong.
    """
    if not isinstance(value.get("framewire"), dict) or "pieces" not in value["framewire"]:
        return timeline
    own = Fields(value["framewire"], "framewire")
    items = own.items("pieces")
    if not 1 <= len(items) <= _MOST_PIECES:
        right = f"expected 1 to {_MOST_PIECES}"
        raise wrong("framewire.pieces", f"has {len(items)} pieces", right)
    pieces = tuple(
        _piece(Fields(item, f"framewire.pieces[{index}]")) for index, item in enumerate(items)
    )
    if own.get("prompts_sha256") != digest_of(value["prompts"]):
        return replace(timeline, not_honoured=(*timeline.not_honoured, _EDITED))
    notes = tuple(str(one) for one in own.items("not_kept")) if own.has("not_kept") else ()
    clip = None
    if own.has("clip"):
        said = own.fields("clip")
        clip = Clip(said.text("name"), said.text("sha256"))
    is_live = any(piece.params.get("webcam_mode") for piece in pieces)
    return replace(
        timeline,
        format="kept session",
        pieces=pieces,
        clip=clip,
        wants_input=is_live,
        not_honoured=(),
        notes=notes,
        original_prompt=own.text("original_prompt") if own.has("original_prompt") else None,
    )


def digest_of(prompts: Any) -> str:
    """SHA-256 of the prompts of a file, however they are spaced."""
    text = json.dumps(prompts, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _piece(fields: Fields) -> Piece:
    params = _checked(Params, fields.get("params"), fields.place("params"))
    place, items = fields.place("steers"), fields.items("steers") if fields.has("steers") else []
    if len(items) > _MOST_STEERS:
        raise wrong(place, f"has {len(items)} steers", f"expected at most {_MOST_STEERS}")
    steers = []
    for index, item in enumerate(items):
        steer = _checked(Steer, item, f"{place}[{index}]")
        if "at_block" not in steer:
            raise wrong(f"{place}[{index}]", "has no at_block", "expected the block it begins at")
        if "image" in steer or "action" in steer:
            raise wrong(f"{place}[{index}]", "has a picture or an action", "expected values only")
        steers.append(steer)
    if "start_frame" in params:
        raise wrong(f"{fields.place('params')}.start_frame", "is a picture", "expected none")
    made_with = fields.get("made_with") or {}
    if not isinstance(made_with, Mapping) or not all(
        isinstance(one, str | int | float) for one in made_with.values()
    ):
        right = "expected an object of texts and numbers"
        raise wrong(fields.place("made_with"), "is something else", right)
    return Piece(
        params=params,
        steers=tuple(steers),
        frames=fields.whole("frames", 0, MOST_FRAMES),
        made_with=made_with,
        holds=_pairs(fields, "holds"),
        shape=next(iter(_pairs(fields, "shape")), (6, 12)),
        start_frame=fields.text("start_frame") if fields.has("start_frame") else None,
        is_exact=fields.flag("exact") if fields.has("exact") else True,
    )


def _pairs(fields: Fields, key: str) -> tuple[tuple[int, int], ...]:
    """Pairs of frames: `[[16, 8]]`."""
    if not fields.has(key):
        return ()
    found = []
    for index, item in enumerate(fields.items(key)):
        place = f"{fields.place(key)}[{index}]"
        if not isinstance(item, list) or len(item) != 2:
            raise wrong(place, "is no pair", "expected two numbers of frames")
        found.append((frame_number(item[0], place), frame_number(item[1], place)))
    return tuple(found)


def _checked(model: type[Params | Steer], value: Any, where: str) -> dict[str, Any]:
    """A map of the wire, as it would be sent."""
    try:
        return model.model_validate(Fields(value, where) and value).wire()
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
        loc = ".".join(str(part) for part in first["loc"])
        raise TimelineError(f"{where}.{loc}: {first['msg']}") from None
