"""`framewire-worker models`: the family at a glance, one model in full, and a user's own."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from framewire.protocol import escaped
from framewire.worker.engine.preset import FRAMES_PER_LATENT, Preset

from .catalogue import Entry, catalogue, gigabytes, presets
from .own import EXAMPLE, OwnModelError, add, kept_names, remove

WHERE = """\
Weights lie in the Hugging Face cache: HF_HOME moves it, HF_TOKEN opens gated repositories,
HF_HUB_OFFLINE=1 forbids the network.
"""
_EPILOG = f"""\
  framewire-worker models                       # all of them, a line each
  framewire-worker models krea-realtime-14b     # one with its files, and what is here
  framewire-worker models add our-fox.toml      # one of yours, for serve, pull and bench
  framewire-worker models remove our-fox-1.3b   # its files stay

{WHERE}
A model of yours comes from a published one. Its file:

{EXAMPLE}"""
_COLUMNS = ("model", "licence", "size", "frames", "context", "steps", "here", "best at")
_NOTE = (
    "frames: of the first block, and of each later one; context: latent frames that a block sees "
    "before itself"
)


def add_models(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    models = commands.add_parser(
        "models",
        help="list presets, their files and what is here; add your own",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models.add_argument("words", nargs="*", metavar="NAME | add FILE.toml | remove NAME")
    models.add_argument("--json", action="store_true", help="as JSON")
    models.set_defaults(run=_models)


def _models(options: argparse.Namespace) -> int:
    try:
        return _done(options.words, as_json=options.json)
    except ModuleNotFoundError as error:
        print(f"models needs {error.name}: pip install 'framewire[models]'", file=sys.stderr)
    except OwnModelError as error:
        print(f"framewire-worker models: {escaped(str(error))}", file=sys.stderr)
    return 2


def _done(words: list[str], *, as_json: bool) -> int:
    match words:
        case ["add", file]:
            before, name = kept_names(), add(Path(file)).name
            done = "replaced" if name in before else "added"
            print(f"{done} {name}: framewire-worker serve --preset {name}", file=sys.stderr)
            words = [name]
        case ["remove", name]:
            remove(name)
            print(f"removed {escaped(name)}", file=sys.stderr)
            return 0
        case ["add" | "remove", *_]:
            raise OwnModelError("expected add FILE.toml, or remove NAME")
    known, loops = catalogue(), presets()
    unknown = [name for name in words if name not in known]
    if unknown:
        raise OwnModelError(f"no model {unknown[0]!r}: choose one of {', '.join(known)}")
    table = {name: describe(known[name], loops[name]) for name in words or known}
    if as_json:
        print(json.dumps(table, indent=2))
    elif words:
        for name, model in table.items():
            _print_whole(name, model)
    else:
        _print_glance(table)
    return 0


def describe(entry: Entry, preset: Preset, cache_dir: Path | None = None) -> dict[str, Any]:
    """An entry as JSON, with what its preset says and where each of its files lies here."""
    files = []
    for file in entry.files:
        local = file.local(cache_dir)
        files.append(
            {
                "part": file.part,
                "repo": file.repo or None,
                "path": file.at or file.path,
                "bytes": local.stat().st_size if local else file.bytes,
                "bytes_assumed": file.assumed and local is None,
                "licence": file.licence,
                "wanted_by": file.wanted_by or None,
                "path_here": str(local) if local else None,
            }
        )
    return {
        "title": entry.title,
        "base": entry.base or None,
        "best_at": entry.best_at,
        "licence": entry.licence,
        "needs": entry.needs,
        "several": entry.several,
        "notice": entry.notice,
        "first_block_frames": preset.first_pictures,
        "block_frames": FRAMES_PER_LATENT * preset.block_frames,
        "context_frames": preset.context_frames,
        "sink_frames": preset.sink_frames,
        "steps": preset.num_denoising_steps,
        "first_block_steps": max(preset.num_denoising_steps, preset.first_block_steps),
        "complete": not entry.missing(cache_dir=cache_dir),
        "bytes": sum(file.bytes for file in entry.wanted()),
        "files": files,
    }


def _print_glance(table: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [_COLUMNS]
    for name, model in table.items():
        wanted = [file for file in model["files"] if not file["wanted_by"]]
        here = sum(file["path_here"] is not None for file in wanted)
        first, later = model["first_block_steps"], model["steps"]
        rows.append(
            (
                name,
                model["licence"] + ("*" if model["notice"] else ""),
                gigabytes(model["bytes"]),
                f"{model['first_block_frames']}, {model['block_frames']}",
                str(model["context_frames"]),
                str(later) if first == later else f"{first}, {later}",
                "all" if model["complete"] else f"{here} of {len(wanted)}",
                model["best_at"],
            )
        )
    widths = [max(len(row[at]) for row in rows) for at in range(len(_COLUMNS))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(escaped(line.rstrip()))
    print(f"\n{_NOTE}")
    for name, model in table.items():
        if model["notice"]:
            print(escaped(f"* {name}: {model['notice']}"))
    print("all of one: framewire-worker models NAME; to get it: framewire-worker pull NAME")


def _print_whole(name: str, model: Mapping[str, Any]) -> None:
    complete = "complete" if model["complete"] else "not complete"
    lines = [f"{name}  ({model['licence']})  {complete}", f"  {model['title']}"]
    if model["base"]:
        lines.append(f"  from {model['base']}")
    lines.append(f"  best at: {model['best_at']}")
    lines.append(
        f"  {model['first_block_frames']} frames in the first block, {model['block_frames']} in "
        f"each later one; {model['context_frames']} latent frames of context; "
        f"{model['first_block_steps']} steps for the first block, {model['steps']} for later ones"
    )
    lines.append(f"  needs {model['needs']}")
    if model["several"]:
        lines.append(f"  or {model['several']}")
    if model["notice"]:
        lines.append(f"  {model['notice']}")
    for file in model["files"]:
        mark = "here   " if file["path_here"] else "missing"
        only = f"  only for {file['wanted_by']}" if file["wanted_by"] else ""
        where = f"{file['repo']}/{file['path']}" if file["repo"] else file["path"]
        size = "~" * file["bytes_assumed"] + gigabytes(file["bytes"])
        lines.append(f"  {mark} {size:>9}  {where}{only}")
    if any(file["bytes_assumed"] for file in model["files"]):
        lines.append("  ~: assumed, as large as a file like it")
    if not model["complete"]:
        lines.append(f"  to get it: framewire-worker pull {name}")
    for line in lines:
        print(escaped(line))
