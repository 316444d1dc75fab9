"""`framewire-worker pull`: weights on the command line."""

from __future__ import annotations

import argparse
import sys
from typing import Any, get_args

from framewire.protocol import escaped
from framewire.worker.engine.options import DecoderName

from .adapters import ENDING, published_adapter
from .catalogue import Entry, PublishedFile, catalogue, published
from .overview import WHERE, add_models
from .own import OwnModelError


def add_commands(commands: Any) -> None:
    """Add both commands to the parser's subcommands."""
    pull = commands.add_parser(
        "pull",
        help="download a preset's weights",
        epilog=WHERE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    pull.add_argument(
        "preset",
        type=_pullable,
        metavar="PRESET",
        help=f"one of {', '.join(sorted(published()))}; one of yours; or an adapter: OWNER/REPOSITORY/FILE{ENDING}",
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
    add_models(commands)


def _pullable(text: str) -> str:
    """A preset, or an adapter's name on the hub."""
    try:
        all_known = catalogue()
    except OwnModelError as error:
        raise argparse.ArgumentTypeError(escaped(str(error))) from None
    if text not in all_known and published_adapter(text) is None:
        known = ", ".join(sorted(all_known))
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
    adapter = published_adapter(options.preset)
    entry = catalogue()[options.preset] if adapter is None else _of_adapter(adapter)
    files = entry.wanted("--decoder taehv" if options.decoder == "taehv" else "")
    hub = Hub(allow_plaintext=options.allow_plaintext)
    try:
        pull(entry, files, hub, lambda line: print(escaped(line), file=sys.stderr, flush=True))
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
