"""What a stream came to, once it is over: a few lines for people, or one JSON object.

Says only what is so: a file is saved if it lies there.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from framewire.client.live_input.feed import Feed
from framewire.client.live_output import Sink
from framewire.client.savers import PipeSaver, Recorder, Saved, Saver
from framewire.client.timeline.shown import Change

from .progress import Tally
from .terminal import one_line, print_json


def report(
    options: argparse.Namespace, tally: Tally, savers: Sequence[Saver], found: dict[str, Any]
) -> None:
    """Print it: on standard output, unless pictures go there.

    Args:
        found: how it ended; goes into the JSON as it is.
    """
    piped = [saver.descriptor for saver in savers if isinstance(saver, PipeSaver)]
    piped += [sink.target.descriptor for sink in options.sinks if sink.target.descriptor]
    out = sys.stderr if 1 in piped else sys.stdout  # which then carries pictures and nothing else
    saved = [saver.saved for saver in savers if saver.saved is not None]
    if options.json:
        print_json(tally.as_dict() | found | _as_dict(saved), out)
    elif tally.frames:
        for text in (*_summary(tally), *map(saved_text, saved)):
            print(one_line(text), file=out)
        if not savers and not options.sinks:
            print("nothing was saved: add --out video.mp4 or --out frames/", file=out)
    if not options.json:
        for sink in options.sinks:
            print(one_line(shown_text(sink)), file=out)
    if not options.json and found.get("kept"):
        for text in _kept(found["kept"]):
            print(one_line(text), file=out)
    if not options.json and "input" in found:
        print(one_line("{name}: {used} of {of} used".format(**found["input"])), file=out)


def _kept(kept: dict[str, Any]) -> Iterator[str]:
    pieces = f", {kept['pieces']} pieces" if kept["pieces"] > 1 else ""
    yield f"kept {kept['path']} ({kept['frames']} frames{pieces}); play it with --timeline"
    yield from kept["not_kept"]


def saved_text(saved: Saved) -> str:
    """What lies where, in one line."""
    parts = [f"{saved.frames} frame{'s' * (saved.frames != 1)}"]
    if saved.seconds is not None:
        parts.append(f"{saved.seconds:.2f} s")
    parts.append(size_text(saved.bytes))
    verb = "saved" if saved.is_file else "sent to"
    return "; ".join([f"{verb} {saved.path} ({', '.join(parts)})", *saved.notes])


def shown_text(sink: Sink) -> str:
    """What was shown live, in one line."""
    found = sink.as_dict()
    latency = found["latency_seconds"]
    late = "" if latency is None else f", {latency:.2f} s behind"
    again = f", opened {sink.openings} times" if sink.openings > 1 else ""
    ended = f"; at the end: {found['error']}" if found["error"] else ""
    return (
        f"showed {sink.shown} frames at {found['name']} ({sink.repeated} repeated, "
        f"{sink.left_out} left out{late}{again}){ended}"
    )


def latency_of(sinks: Sequence[Sink], feed: Feed | None) -> float | None:
    """Seconds from a live input's picture, else from when its frame came, to the latter's being shown
    at the slowest sink; None where nothing is shown live."""
    found = [sink.latency for sink in sinks if sink.failure is None and sink.latency is not None]
    if not found:
        return None
    return max(found) + ((feed and feed.latency) or 0.0)


def size_text(size: int) -> str:
    """Bytes, as people say them."""
    if size < 1000:
        return f"{size} bytes"
    return f"{size / 1e3:.1f} kB" if size < 1e6 else f"{size / 1e6:.1f} MB"


def interruption_text(recorder: Recorder, recorded: Sequence[Saver] = ()) -> str:
    """After Ctrl-C: what became of what had arrived.

    Args:
        recorded: what was saved beside it.
    """
    if recorder.lost:
        return f"interrupted twice; {recorder.lost} frames that had arrived were not saved"
    if not recorder.saved and not any(saver.saved for saver in recorded):
        return "interrupted; nothing was saved"
    failed = ", but for what failed" if recorder.failures else ""
    return f"interrupted; what had arrived was saved{failed}"


def _as_dict(saved: Sequence[Saved]) -> dict[str, Any]:
    found = [asdict(one) | {"path": str(one.path)} for one in saved]
    kept = [one for one in found if one.pop("is_file")]
    return {
        "files": [one["path"] for one in kept],
        "saved": kept,
        "sent": [one for one in found if one not in kept],
    }


def _change_text(change: Change) -> str:
    since = "" if change.block is None else f", from block {change.block}"
    unshown = ""
    if change.is_replaced:
        unshown = " (never shown: another took its place)"
    elif change.shown_at is None:
        unshown = " (never shown: the stream had ended)"
    if change.sent_at is None:
        return f"steered at {change.when}{since}: {change.text or 'other values'}{unshown}"
    after = "" if change.seconds is None else f", shown {change.seconds:.2f} s later"
    return f"typed after frame {change.after_frames}{since}{after}: {change.when}{unshown}"


def _summary(tally: Tally) -> Iterator[str]:
    speed = f"{tally.fps:.1f} fps, " if tally.fps else ""
    took = f"{tally.last_after:.{1 if tally.last_after >= 1 else 2}f} s"
    yield f"{tally.frames} frames in {took} ({speed}{size_text(tally.bytes)})"
    if tally.started is not None:
        said = tally.started
        yield f"seed {said.seed}, {said.width}x{said.height}, backend {said.backend}"
    for change in tally.changes:
        yield _change_text(change)
    for when in tally.unsent:
        yield f"not steered at {when}: the stream was shorter"
    for warning in tally.warnings:
        yield f"warning: {warning}"
    for one in tally.reconnects:
        yield f"reconnected after frame {one['after_frames']}, {one['seconds']:.1f} s without frames"
