"""`framewire-worker bench front`: its options, and its report on the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from websockets.exceptions import InvalidURI
from websockets.uri import parse_uri

from framewire.protocol import Params, escaped
from framewire.worker.bench.values import count_of, size_of

from .measure import FrontError, Way, measure

_EPILOG = """\
ways, each NAME=URL, with @ the processes whose CPU time counts:
  framewire-worker bench front direct=ws://127.0.0.1:8001/ws@4711 \\
      haproxy=ws://127.0.0.1:8000/ws@4712
A token goes into the URL (?fal_jwt_token=...) and is not shown.
"""


def add_front(benches: Any) -> None:
    """Add `front` to the subcommands of `bench`."""
    front = benches.add_parser(
        "front",
        help="CPU a frame of a balancer or proxy, beside the direct way",
        description="Watches streams each way in turn, and reads the CPU time of processes (Linux).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    front.set_defaults(run=_run)
    front.add_argument("ways", nargs="+", type=_way, metavar="NAME=URL[@PID,...]")
    front.add_argument("--sessions", type=count_of, default=4, metavar="N")
    front.add_argument(
        "--frames", type=count_of, default=2000, metavar="N", help="each way, in each round"
    )
    front.add_argument(
        "--fps", type=float, default=24.0, metavar="N", help="of each session; 0: as fast as can be"
    )
    front.add_argument("--size", type=size_of, default=(832, 480), metavar="WxH")
    front.add_argument("--json", action="store_true", help="a line for each way, no table")


def _run(options: argparse.Namespace) -> int:
    if not Path("/proc/self/stat").exists():
        print("framewire-worker bench front: reads CPU times as Linux has them", file=sys.stderr)
        return 2
    try:
        _check(options)
        rows = measure(
            options.ways,
            sessions=options.sessions,
            frames=options.frames,
            fps=options.fps,
            size=options.size,
            tell=lambda step: print(f"measuring: {step}", file=sys.stderr),
        )
    except argparse.ArgumentTypeError as error:
        print(f"framewire-worker bench front: {escaped(str(error))}", file=sys.stderr)
        return 2
    except FrontError as error:
        print(f"framewire-worker bench front: {escaped(str(error))}", file=sys.stderr)
        return 1
    _show(rows, options.json)
    return 0


def _check(options: argparse.Namespace) -> None:
    """Refuse what no stream can be asked for, and ways that the report could not tell apart."""
    width, height = options.size
    try:
        Params(prompt="any", width=width, height=height, fps=options.fps)
    except ValidationError as error:
        (first, *_) = error.errors()
        raise argparse.ArgumentTypeError(f"{first['loc'][0]}: {first['msg']}") from None
    names = [way.name for way in options.ways]
    if len(set(names)) < len(names):
        raise argparse.ArgumentTypeError("two ways have one name")


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for row in rows:
            print(json.dumps(row))
        return
    print("| way | CPU ms a frame | frames a second | KB a frame | frames |")
    print("|---|---|---|---|---|")
    for row in rows:
        cells = (row[key] for key in ("name", "cpu_ms", "fps", "kilobytes", "frames"))
        print("| " + " | ".join(map(str, cells)) + " |")


def _way(text: str) -> Way:
    name, _, rest = text.partition("=")
    url, at, pids = rest.rpartition("@") if "@" in rest.rpartition("/")[2] else (rest, "", "")
    if not name or not url.startswith(("ws://", "wss://")):
        raise argparse.ArgumentTypeError(
            f"{name!r}: expected NAME=URL[@PID,...], such as haproxy=ws://127.0.0.1:8000/ws@4711"
        )
    try:
        parse_uri(url)
    except (InvalidURI, ValueError) as error:
        raise argparse.ArgumentTypeError(f"{name}: no address: {error}") from None
    numbers = pids.split(",") if at else []
    if not all(map(str.isdecimal, numbers)):
        raise argparse.ArgumentTypeError(f"{name}: after @ come numbers of processes, not {pids!r}")
    return Way(name, url, tuple(map(int, numbers)))
