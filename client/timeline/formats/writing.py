"""A timeline as a file: Scope's 2.1, with what is our own beside it under `framewire`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from framewire.client.errors import SaveError
from framewire.client.savers.output_file import OutputFile, save_error
from framewire.client.timeline.model import RATE, Entry, Marker, Moment, Piece, Timeline

from .kept import digest_of

_LAST_SECONDS = 5.0
"""That an entry without an end is written to last: the format has no other way."""


def timeline_text(timeline: Timeline, *, fps: float = RATE) -> str:
    """What stands in the file.

    Args:
        fps: frames a second, by which frames become seconds.
    """
    prompts = [_entry(entry, fps) for entry in timeline.entries]
    own: dict[str, Any] = {}
    if timeline.markers:
        own["markers"] = [_marker(marker, fps) for marker in timeline.markers]
    if timeline.original_prompt is not None:
        own["original_prompt"] = timeline.original_prompt
    if timeline.pieces:
        own["prompts_sha256"] = digest_of(prompts)
        own["pieces"] = [_piece(piece) for piece in timeline.pieces]
        if timeline.clip is not None:
            own["clip"] = {"name": timeline.clip.name, "sha256": timeline.clip.sha256}
        own["not_kept"] = list(timeline.notes)
    written = {
        "version": "2.1",
        "exportedAt": datetime.now(UTC).isoformat(timespec="seconds"),
        "prompts": prompts,
        "settings": _settings(timeline),
        **({"framewire": own} if own else {}),
    }
    return json.dumps(written, indent=2, ensure_ascii=False) + "\n"


def save_timeline(timeline: Timeline, path: str | Path, *, fps: float = RATE) -> Path:
    """Write the file, beside its place until it is whole. Blocks.

    Raises:
        SaveError: it cannot be written there; what was there stays.
    """
    path = Path(path)
    file = OutputFile(path)
    file.open()
    try:
        file.write(timeline_text(timeline, fps=fps).encode())
    except OSError as error:
        file.discard()
        raise save_error(path, error) from error
    except BaseException:
        file.discard()
        raise
    file.keep()
    return path


def refuse_other_files(path: str | Path) -> None:
    """Check that no file is there, or one that is a timeline.

    Raises:
        SaveError: it is something else, which is not to be replaced by accident, or cannot be told.
    """
    path = Path(path)
    try:
        if path.is_dir():
            raise SaveError(f"{path} is a folder, and no place for a timeline")
        if not path.is_file() or path.stat().st_size == 0:
            return
    except OSError as error:
        raise save_error(path, error) from error
    try:
        found = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not {"version", "prompts"} <= found.keys():
        raise SaveError(
            f"{path} is there and is no timeline, so it is not replaced",
            hint="write to another file",
        )


def _entry(entry: Entry, fps: float) -> dict[str, Any]:
    start, end = _seconds(entry.start, fps), entry.end
    stop = start + _LAST_SECONDS if end is None else _seconds(end, fps)
    found: dict[str, Any] = {
        "startTime": start,
        "endTime": stop,
        "prompts": [{"text": one.text, "weight": one.weight} for one in entry.prompts],
    }
    if entry.transition_steps is not None:
        found["transitionSteps"] = entry.transition_steps
    if entry.transition is not None:
        found["temporalInterpolationMethod"] = entry.transition
    own: dict[str, Any] = {}
    if entry.start.unit == "f" and fps == RATE:
        own["frame"] = int(entry.start.at)
    if entry.blend is not None and len(entry.prompts) > 1:
        own["blend"] = entry.blend
    return found | ({"framewire": own} if own else {})


def _marker(marker: Marker, fps: float) -> dict[str, Any]:
    found: dict[str, Any] = {"time": _seconds(marker.at, fps), "type": marker.kind}
    if marker.kind == "pause":
        found["seconds"] = marker.seconds
    elif marker.to is not None:
        found |= {"to": _seconds(marker.to, fps), "times": marker.times}
    return found


def _seconds(moment: Moment, fps: float) -> float:
    return moment.at if moment.unit == "s" else round(moment.at / fps, 6)


def _settings(timeline: Timeline) -> dict[str, Any]:
    """Params of the wire in Scope's words."""
    params = timeline.settings
    found: dict[str, Any] = {"pipelineId": timeline.made_for} if timeline.made_for else {}
    found["inputMode"] = "video" if timeline.wants_input else "text"
    if "width" in params and "height" in params:
        found["resolution"] = {"height": params["height"], "width": params["width"]}
    found |= {name: params[key] for key, name in _NAMES if params.get(key) is not None}
    return found


_NAMES = (
    ("seed", "seed"),
    ("denoising_steps", "denoisingSteps"),
    ("strength", "noiseScale"),
    ("noise_controller", "noiseController"),
)


def _piece(piece: Piece) -> dict[str, Any]:
    found: dict[str, Any] = {
        "params": dict(piece.params),
        "steers": [dict(steer) for steer in piece.steers],
        "frames": piece.frames,
        "shape": [list(piece.shape)],
        "made_with": _plain(piece.made_with),
        "exact": piece.is_exact,
    }
    if piece.start_frame is not None:
        found["start_frame"] = piece.start_frame
    if piece.holds:
        found["holds"] = [list(hold) for hold in piece.holds]
    return found


def _plain(values: Mapping[str, Any]) -> dict[str, Any]:
    return dict(values)
