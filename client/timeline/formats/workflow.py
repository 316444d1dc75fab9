"""The timeline of a `.scope-workflow.json`, which took the place of Scope's own export."""

from __future__ import annotations

from typing import Any

from framewire.client.timeline.model import Entry, Moment, Timeline

from .entries import entries_of, method_of, texts_of
from .fields import Fields, kind_of, wrong
from .marks import markers_of
from .settings import Settings, read_settings

FORMAT = "scope-workflow"
_VERSION = "1."
_OF_A_PIPELINE = ("pipeline_id", "pipeline_version", "source", "role", "params")


def read_workflow(value: Any) -> Timeline:
    """A timeline of such a file; without one, its prompts as one entry that lasts.

    Raises:
        TimelineError: it is none, or something of it is wrong.
    """
    fields = Fields(value, "")
    if fields.text("format") != FORMAT:
        raise wrong("format", f"is {kind_of(fields.get('format'))}", f"expected {FORMAT}")
    version = str(fields.get("format_version") or "1.0")
    if not version.startswith(_VERSION):
        raise wrong("format_version", f"is {version!r:.40}", "expected 1.0")
    found = Settings()
    made_for = _main_pipeline(fields, found) if fields.has("pipelines") else None
    blend = method_of(fields, "interpolation_method")
    if fields.has("timeline"):
        timeline = fields.fields("timeline")
        place = timeline.place("entries")
        entries = entries_of(timeline.items("entries"), place, found.left_out, blend)
        markers = markers_of(timeline, entries[-1].end)
        found.left_out += [f"{timeline.place(key)}: not known" for key, _ in timeline.unread()]
        fields.get("prompts")  # those that were shown when it was written
    elif fields.has("prompts"):
        entries = (Entry(Moment(0), None, texts_of(fields, found.left_out), blend=blend),)
        markers = ()
    else:
        raise wrong("the workflow", "has neither a timeline nor prompts", "expected one of them")
    for key in ("metadata", "framewire"):
        fields.get(key)
    found.left_out += [f"{fields.place(key)}: not done here" for key, _ in fields.unread()]
    return Timeline(
        entries=entries,
        format=f"Scope workflow {version}",
        settings=found.params,
        markers=markers,
        made_for=made_for,
        wants_input=found.wants_input,
        not_honoured=tuple(found.left_out),
    )


def _main_pipeline(fields: Fields, found: Settings) -> str | None:
    """Read the settings of the pipeline that makes the pictures; returns its name."""
    place = fields.place("pipelines")
    pipelines = [
        Fields(item, f"{place}[{index}]") for index, item in enumerate(fields.items("pipelines"))
    ]
    if not pipelines:
        return None
    main = next((one for one in pipelines if one.get("role") == "main"), pipelines[0])
    for other in pipelines:
        name = other.text("pipeline_id")
        if other is not main:
            found.left_out.append(f"{other.where}: the pipeline {name}; only one is run here")
    for key in _OF_A_PIPELINE:
        main.get(key)
    if main.has("params"):
        read_settings(main.fields("params"), found)
    read_settings(main, found)
    return main.text("pipeline_id")
