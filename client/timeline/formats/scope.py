"""Scope's timelines as it exported them: 1.0, 2.0 and 2.1."""

from __future__ import annotations

from typing import Any

from framewire.client.timeline.model import Timeline

from .entries import entries_of, method_of
from .fields import Fields, kind_of, wrong
from .marks import markers_of
from .settings import Settings, read_settings

VERSIONS = ("1.0", "2.0", "2.1")


def read_scope(value: Any) -> Timeline:
    """A timeline of such a file.

    Raises:
        TimelineError: it is none, or something of it is wrong.
    """
    fields = Fields(value, "")
    version = fields.get("version")
    if str(version) not in VERSIONS or isinstance(version, bool):
        what = "is missing" if version is None else f"is {kind_of(version)}"
        raise wrong("version", what, f"expected one of {', '.join(VERSIONS)}")
    found, made_for = Settings(), None
    blend = None
    if fields.has("settings"):
        settings = fields.fields("settings")
        made_for = settings.text("pipeline_id") if settings.has("pipeline_id") else None
        blend = method_of(settings, "prompt_interpolation_method")
        read_settings(settings, found)
    entries = entries_of(fields.items("prompts"), "prompts", found.left_out, blend)
    markers = markers_of(fields, entries[-1].end)
    for key in ("exported_at", "framewire"):
        fields.get(key)
    found.left_out += [f"{fields.place(key)}: not known here" for key, _ in fields.unread()]
    return Timeline(
        entries=entries,
        format=f"Scope timeline {version}",
        settings=found.params,
        markers=markers,
        made_for=made_for,
        wants_input=found.wants_input,
        not_honoured=tuple(found.left_out),
    )
