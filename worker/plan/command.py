"""`framewire-worker plan`: its options, and what it prints."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from framewire.protocol import escaped
from framewire.worker.models.catalogue import catalogue

from .bench_file import Bench, BenchFileError, read_bench
from .capacity import Capacity, CapacityError, estimated, given, measured
from .cards import CARDS
from .planning import Audience, OverloadError, Plan, Starts, make_plan
from .prices import Price, prices_of
from .report import as_json, lines_of
from .values import count_of, gpu_of, percent_of, positive_of, preset_of, seconds_of, viewers_of

FPS = 16.0
"""Frames a second at which every published preset plays."""
READ_GB_A_SECOND = 1.0
"""At which weights are taken to be read, where no bench says how long loading takes."""

_EPILOG = """\
--viewers is the load: how many would watch at the same time, in the mean, if nobody had to wait. Of
arrivals an hour it is arrivals x session minutes / 60. At the busiest hour that is to be held, not
over the day: the model knows one steady rate.

examples:
  framewire-worker plan --viewers 500 --preset krea-realtime-14b --gpu h100 \\
      --session-minutes 6 --wait 5s --out plan.png
  framewire-worker bench engine --preset krea-realtime-14b --json > bench.json   # on that GPU
  framewire-worker plan --viewers 500 --preset krea-realtime-14b --gpu h100 --bench bench.json
  framewire-worker plan --viewers 40 --preset tiny --sessions-per-gpu 3 --price 0.20 --json
"""


def add_command(commands: Any) -> None:
    """Add `plan` to the parser's subcommands; it sets `run`."""
    plan = commands.add_parser(
        "plan",
        help="how many replicas an audience needs, and what they cost",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    plan.set_defaults(run=_run)
    plan.add_argument(
        "--viewers", type=viewers_of, required=True, metavar="N", help="at once, in the mean"
    )
    plan.add_argument("--preset", type=preset_of, required=True, metavar="PRESET")
    plan.add_argument("--gpu", type=gpu_of, metavar="NAME", help=f"one of {', '.join(CARDS)}")
    plan.add_argument(
        "--session-minutes", type=positive_of, default=6.0, metavar="M", help="mean (default: 6)"
    )
    plan.add_argument(
        "--wait",
        type=seconds_of,
        default=5.0,
        metavar="TIME",
        help="such as 5s (the default) or 2m",
    )
    plan.add_argument(
        "--percent", type=percent_of, default=95.0, help="of viewers wait no longer (default: 95)"
    )
    plan.add_argument("--fps", type=positive_of, default=FPS, help="of a stream (default: 16)")
    plan.add_argument(
        "--bench", metavar="FILE", help="what bench engine --json or bench serving --json printed"
    )
    plan.add_argument(
        "--variant", default="faithful", metavar="NAME", help="of the bench (default: faithful)"
    )
    plan.add_argument(
        "--sessions-per-gpu", type=count_of, metavar="N", help="instead of a bench or the defaults"
    )
    plan.add_argument("--replicas", type=count_of, metavar="N", help="what so many would give")
    plan.add_argument(
        "--price", type=positive_of, metavar="USD", help="a GPU and hour, instead of published ones"
    )
    plan.add_argument(
        "--cold-start",
        type=seconds_of,
        metavar="TIME",
        help="default: the bench's, or reading the weights at 1 GB/s",
    )
    plan.add_argument(
        "--keep-alive",
        type=seconds_of,
        default=300.0,
        metavar="TIME",
        help="of a replica without viewers (default: 5m, as on fal)",
    )
    plan.add_argument("--out", type=Path, metavar="PNG", help="draw wait and cost over replicas")
    plan.add_argument("--json", action="store_true", help="print one JSON object")


def _run(options: argparse.Namespace) -> int:
    try:
        plan = _plan(options)
        if options.out is not None:
            _draw(plan, options)
    except (BenchFileError, CapacityError, OverloadError, _RefusedError) as error:
        print(f"framewire-worker plan: {escaped(str(error))}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(as_json(plan, options.preset, options.gpu)))
        return 0
    for line in lines_of(plan, options.preset, options.gpu or "a GPU of yours"):
        print(escaped(line))
    if options.out is not None:
        print(escaped(f"drawn: {options.out}"))
    return 0


class _RefusedError(ValueError):
    """What was asked for cannot be had together."""


def _plan(options: argparse.Namespace) -> Plan:
    bench = read_bench(options.bench, options.preset, options.variant) if options.bench else None
    session = 60 * options.session_minutes
    audience = Audience(options.viewers, session, options.wait, options.percent / 100)
    return make_plan(
        audience,
        _capacity(options, bench),
        _starts(options, bench),
        _prices(options),
        options.replicas,
    )


def _capacity(options: argparse.Namespace, bench: Bench | None) -> Capacity:
    if options.sessions_per_gpu is not None:
        return given(options.sessions_per_gpu)
    if bench is not None:
        return measured(bench, options.preset, options.gpu, options.fps)
    if options.gpu is None:
        raise _RefusedError(
            f"say which --gpu ({', '.join(CARDS)}), or how much one holds: --bench or "
            "--sessions-per-gpu"
        )
    return estimated(options.preset, options.gpu, options.fps)


def _starts(options: argparse.Namespace, bench: Bench | None) -> Starts:
    if options.cold_start is not None:
        return Starts(options.cold_start, "as --cold-start says", options.keep_alive)
    if bench is not None and bench.engine is not None:
        came = f"to load and warm up, by {bench.path}"
        return Starts(bench.engine.start, came, options.keep_alive)
    entry = catalogue().get(options.preset)
    if entry is None:
        return Starts(0.0, "not known: say --cold-start", options.keep_alive)
    seconds = sum(file.bytes for file in entry.wanted()) / 1e9 / READ_GB_A_SECOND
    return Starts(seconds, "assumed: its files read at 1 GB/s", options.keep_alive)


def _prices(options: argparse.Namespace) -> Sequence[Price]:
    if options.price is not None:
        return (Price("yours", options.gpu or "", options.price, "--price", ""),)
    if options.gpu is None:
        raise _RefusedError(f"say which --gpu ({', '.join(CARDS)}), or what one costs: --price")
    return prices_of(options.gpu)


def _draw(plan: Plan, options: argparse.Namespace) -> None:
    try:
        from .plot import draw
    except ModuleNotFoundError as error:
        raise _RefusedError(
            f"--out needs {error.name}: pip install 'framewire[plot]'; without --out nothing is drawn"
        ) from None
    title = f"{options.preset} on {options.gpu or 'a GPU'}: {options.viewers:,.10g} viewers at once"
    try:
        draw(plan, title, options.out)
    except OSError as error:
        raise _RefusedError(f"--out {options.out}: {error.strerror}") from None
