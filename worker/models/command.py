"""`framewire-worker pull` and `framewire-worker models`: weights on the command line."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, get_args

from framewire.protocol import escaped
from framewire.worker.engine.options import DecoderName

from .adapters import ENDING, on_hub
from .catalogue import Entry, PublishedFile, catalogue, gigabytes

_MODELS_EPILOG = """\
Weights lie in the Hugging Face cache: HF_HOME moves it, HF_TOKEN opens gated repositories,
HF_HUB_OFFLINE=1 forbids the network.
"""


def add_commands(commands: Any) -> None:
    """Add both commands to the parser's subcommands."""
    pull = commands.add_parser(
        "pull",
        help="download a preset's weights",
        epilog=_MODELS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    pull.add_argument(
        "preset",
        type=_pullable,
        metavar="PRESET",
        help=f"one of {', '.join(sorted(catalogue()))}; or an adapter: OWNER/REPOSITORY/FILE{ENDING}",
    )
    pull.add_argument(
        "--decoder", choices=get_args(DecoderName), default="wan", help="and for this one"
    )
    pull.add_argument(
        "--allow-plaintext",
        action="store_true",
        help="send HF_TOKEN to a hub (HF_ENDPOINT) without TLS, where others can read it",
    )
    pull.set_defaults(run=_pull)
    models = commands.add_parser(
        "models",
        help="list presets, their files and what is here",
        epilog=_MODELS_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    models.add_argument("--json", action="store_true", help="as JSON")
    models.set_defaults(run=_models)


def _pullable(text: str) -> str:
    """A preset, or an adapter's name on the hub."""
    if text not in catalogue() and on_hub(text) is None:
        known = ", ".join(sorted(catalogue()))
        raise argparse.ArgumentTypeError(
            f"{text!r}: choose one of {known}, or OWNER/REPOSITORY/FILE{ENDING}"
        )
    return text


def _of_adapter(file: PublishedFile) -> Entry:
    name = f"{file.repo}/{file.path}"
    return Entry(preset=name, title="an adapter", licence=file.licence, needs="", files=(file,))


def _pull(options: argparse.Namespace) -> int:
    try:
        from .pull import Hub, PullError, pull
    except ModuleNotFoundError as error:
        print(f"pull needs {error.name}: pip install 'framewire[models]'", file=sys.stderr)
        return 2
    adapter = on_hub(options.preset)
    entry = catalogue()[options.preset] if adapter is None else _of_adapter(adapter)
    files = entry.wanted("--decoder taehv" if options.decoder == "taehv" else "")
    hub = Hub(allow_plaintext=options.allow_plaintext)
    try:
        pull(entry, files, hub, lambda line: print(line, file=sys.stderr, flush=True))
    except PullError as error:
        print(f"framewire-worker pull: {escaped(str(error))}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("stopped; pull again to go on from there", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        print(f"pull needs {error.name}: pip install 'framewire[models]'", file=sys.stderr)
        return 2
    return 0


def _models(options: argparse.Namespace) -> int:
    try:
        table = {name: describe(entry) for name, entry in catalogue().items()}
    except ModuleNotFoundError as error:
        print(f"models needs {error.name}: pip install 'framewire[models]'", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(table, indent=2))
        return 0
    for name, entry in table.items():
        print(
            f"{name}  ({entry['licence']})  {'complete' if entry['complete'] else 'not complete'}"
        )
        print(f"  {entry['title']}\n  needs {entry['needs']}")
        if entry["several"]:
            print(f"  or {entry['several']}")
        for file in entry["files"]:
            mark = "here   " if file["path_here"] else "missing"
            only = f"  only for {file['wanted_by']}" if file["wanted_by"] else ""
            size = gigabytes(file["bytes"])
            print(f"  {mark} {size:>9}  {file['repo']}/{file['path']}{only}")
        print(f"  to get it: framewire-worker pull {name}")
    return 0


def describe(entry: Entry, cache_dir: Path | None = None) -> dict[str, Any]:
    """An entry as JSON, with where each of its files lies here."""
    files = []
    for file in entry.files:
        local = file.local(cache_dir)
        files.append(
            {
                "part": file.part,
                "repo": file.repo,
                "path": file.path,
                "bytes": local.stat().st_size if local else file.bytes,
                "licence": file.licence,
                "wanted_by": file.wanted_by or None,
                "path_here": str(local) if local else None,
            }
        )
    return {
        "title": entry.title,
        "licence": entry.licence,
        "needs": entry.needs,
        "several": entry.several,
        "complete": not entry.missing(cache_dir=cache_dir),
        "bytes": sum(file.bytes for file in entry.wanted()),
        "files": files,
    }
