"""`framewire-worker bench serving`: its options, and its report on the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

from framewire.protocol import escaped
from framewire.worker.bench.values import size_of

from .plan import CONTENTS, Plan


def add_serving(benches: Any) -> None:
    """Add `serving` to the subcommands of `bench`."""
    serving = benches.add_parser(
        "serving",
        help="CPU, latency and memory of serving frames, beside the plain way",
        description="Measures everything between a block of frames and the socket. Takes minutes.",
    )
    serving.set_defaults(run=_run_serving)
    serving.add_argument("--size", type=size_of, default=(832, 480), metavar="WxH")
    serving.add_argument("--sessions", type=_numbers, default=(1, 16, 64), metavar="N,N,...")
    serving.add_argument("--contents", type=_contents, default=CONTENTS, metavar="NAME,...")
    serving.add_argument(
        "--frames", type=int, default=2000, metavar="N", help="in each measurement"
    )
    serving.add_argument(
        "--memory-frames",
        type=_numbers,
        default=(1000, 10000),
        metavar="N,N,...",
        help="after how many frames memory is read",
    )
    serving.add_argument(
        "--saving-times", type=int, default=5, metavar="N", help="runs of the client, each way"
    )
    serving.add_argument("--json", action="store_true", help="print one JSON object, no table")


def _run_serving(options: argparse.Namespace) -> int:
    try:
        from framewire.worker.runtime.pictures import snapped

        from .run import run
        from .table import table
    except ModuleNotFoundError as error:
        print(
            f"framewire-worker needs {error.name}: pip install 'framewire[worker]'", file=sys.stderr
        )
        return 2
    width, height = snapped(options.size[0], options.size[1], 8)
    plan = Plan(
        width=width,
        height=height,
        sessions=options.sessions,
        contents=options.contents,
        frames=options.frames,
        memory_frames=options.memory_frames,
        saved_frames=options.frames,
        saving_times=options.saving_times,
    )
    try:
        report = run(plan, lambda step: print(f"measuring: {step}", file=sys.stderr))
    except (TimeoutError, RuntimeError) as error:
        print(f"framewire-worker bench serving: {escaped(str(error))}", file=sys.stderr)
        return 1
    if options.json:
        print(json.dumps(report))
    else:
        for line in table(report):
            print(line)
    return 0


def _contents(text: str) -> tuple[str, ...]:
    names = tuple(text.split(","))
    if not set(names) <= set(CONTENTS):
        raise argparse.ArgumentTypeError(f"{text!r}: expected {' or '.join(CONTENTS)}, or both")
    return names


def _numbers(text: str) -> tuple[int, ...]:
    numbers = text.split(",")
    if not all(number.isdecimal() and int(number) for number in numbers):
        raise argparse.ArgumentTypeError(f"{text!r}: expected numbers such as 1,16,64")
    return tuple(map(int, numbers))
