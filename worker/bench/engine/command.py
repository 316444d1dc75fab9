"""`framewire-worker bench engine`: its options, and its report on the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from textwrap import fill
from typing import Any

from framewire.worker.models.setup import ModelSetup, parse_size

from .variants import OPTIONS

_EPILOG = f"""\
{fill(f"options to measure: {', '.join(OPTIONS)}; or all.", 88, break_on_hyphens=False)}

examples:
  framewire-worker bench engine --preset tiny-random --random-weights
  framewire-worker bench engine --preset krea-realtime-14b --random-weights \\
      --size 832x480 --steps 4 --options skip-zero,taehv,attention,fuse-qkv,compile,fp8
"""


def add_engine(benches: Any) -> None:
    """Add `engine` to the subcommands of `bench`."""
    engine = benches.add_parser(
        "engine",
        help="stages, frames a second, latency and memory of a model on this machine",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    engine.set_defaults(run=_run)
    engine.add_argument("--preset", required=True, metavar="PRESET")
    engine.add_argument(
        "--random-weights", action="store_true", help="the model's shapes without a download"
    )
    engine.add_argument("--size", metavar="WxH", help="default: the preset's")
    engine.add_argument("--steps", type=int, metavar="N", help="default: the preset's")
    engine.add_argument(
        "--live",
        action=argparse.BooleanOptionalAction,
        help="make blocks from pictures (default: where the preset is one of live input)",
    )
    engine.add_argument("--context", type=int, metavar="N", help="frames (default: the preset's)")
    engine.add_argument("--blocks", type=int, default=8, metavar="N", help="settled ones measured")
    engine.add_argument("--device", default="auto")
    engine.add_argument("--dtype", default="auto")
    engine.add_argument(
        "--options", default="", metavar="NAME,...", help="speed options, each alone and together"
    )
    engine.add_argument("--json", action="store_true", help="print one JSON object, no table")


def _run(options: argparse.Namespace) -> int:
    try:
        from .measure import Workload
        from .run import PRESETS, Plan, run
        from .table import table
    except ModuleNotFoundError as error:
        print(f"bench engine needs {error.name}: pip install 'framewire[models]'", file=sys.stderr)
        return 2
    names = list(OPTIONS) if options.options == "all" else options.options.split(",")
    names = [name for name in names if name]
    try:
        if options.preset not in PRESETS:
            raise ValueError(f"no preset {options.preset!r}: choose one of {', '.join(PRESETS)}")
        unknown = [name for name in names if name not in OPTIONS]
        if unknown:
            raise ValueError(f"no option {unknown[0]!r}: choose of {', '.join(OPTIONS)}")
        preset = PRESETS[options.preset]
        steps = preset.num_denoising_steps if options.steps is None else options.steps
        if not 1 <= steps <= 8 or options.blocks < 1:
            raise ValueError("steps must be 1 to 8, and blocks at least 1")
        size = parse_size(options.size) if options.size else (preset.width, preset.height)
        setup = ModelSetup(
            preset=preset.name,
            device=options.device,
            dtype=options.dtype,
            warm_sizes=f"{size[0]}x{size[1]}",
        )
        live = preset.follows_input if options.live is None else options.live
        work = Workload(*size, steps, options.blocks, live=live, context=options.context)
        work.params(preset)
        plan = Plan(
            preset.name,
            work,
            setup,
            random_weights=options.random_weights or preset.name.startswith("tiny-"),
            options=tuple(names),
        )
        report = run(plan, lambda step: print(f"measuring {step}", file=sys.stderr))
    except (ValueError, FileNotFoundError) as error:
        print(f"framewire-worker bench engine: {error}", file=sys.stderr)
        return 2
    if options.json:
        print(json.dumps(report))
    else:
        for line in table(report):
            print(line)
    return 0
