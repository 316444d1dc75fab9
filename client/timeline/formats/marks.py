"""Markers of a file: where the stream is reset, held, or goes on at another place.

Scope has none (they were asked for); these are our own, as `markers` of the file or of its
`framewire`: `{"time": 4, "type": "reset"}`, `{"time": 4, "type": "pause", "seconds": 2}`,
`{"time": 4, "type": "jump", "to": 1, "times": 2}`.
"""

from __future__ import annotations

from framewire.client.errors import TimelineError
from framewire.client.timeline.model import Marker, Moment

from .entries import MOST_SECONDS
from .fields import Fields, wrong

_KINDS = ("reset", "pause", "jump")
_MOST_PAUSE = 3600.0
_MOST_TIMES = 10_000
_MOST = 1000


def markers_of(fields: Fields, end: Moment | None) -> tuple[Marker, ...]:
    """Those of a file, by time; those of one moment in the order in which they stand.

    Args:
        end: of the timeline; None where it has none.

    Raises:
        TimelineError: one is wrong.
    """
    found: list[Marker] = []
    for owner in (fields, _own(fields)):
        if owner is not None and owner.has("markers"):
            place = owner.place("markers")
            items = owner.items("markers")
            if len(items) > _MOST:
                raise TimelineError(f"{place}: has {len(items)} markers; expected at most {_MOST}")
            last = MOST_SECONDS if end is None else end.at
            found += [
                _marker(Fields(item, f"{place}[{index}]"), last) for index, item in enumerate(items)
            ]
    return tuple(sorted(found, key=lambda marker: marker.at.at))


def _own(fields: Fields) -> Fields | None:
    return fields.fields("framewire") if fields.has("framewire") else None


def _marker(fields: Fields, last: float) -> Marker:
    at = Moment(fields.number("time", 0, last))
    kind = fields.one_of("type", _KINDS)
    if kind == "reset":
        return Marker(at, "reset")
    if kind == "pause":
        if not fields.has("seconds"):
            raise wrong(fields.where, "pauses for no time", 'expected "seconds", such as 2')
        return Marker(at, "pause", seconds=fields.number("seconds", 0, _MOST_PAUSE))
    to = Moment(fields.number("to", 0, last))
    times = fields.whole("times", 1, _MOST_TIMES) if fields.has("times") else 1
    return Marker(at, "jump", to=to, times=times)
