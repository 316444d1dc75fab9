"""`framewire-worker bench engine`: its options, and its report on the terminal."""

from __future__ import annotations

import argparse
import json
import sys
from textwrap import fill
from typing import Any

from framewire.protocol import escaped
from framewire.worker.bench.values import positive_of
from framewire.worker.engine.options import EngineOptions
from framewire.worker.models.setup import ModelSetup, parse_size

from .variants import FAITHFUL, OPTIONS, Variant, variants

_EPILOG = f"""\
{fill(f"options to measure: {', '.join(OPTIONS)}; or all.", 88, break_on_hyphens=False)}

examples:
  framewire-worker bench engine --preset tiny
  framewire-worker bench engine --preset krea-realtime-14b --count
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
    engine.add_argument(
        "--text-encoder",
        action="store_true",
        help="with random weights, a text encoder of its real size too (11.4 GB)",
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
    engine.add_argument(
        "--threads", type=int, default=0, metavar="N", help="on a CPU (default: as it is served)"
    )
    engine.add_argument("--device", default="auto")
    engine.add_argument(
        "--num-gpus", type=int, default=1, metavar="N", help="that share a stream's work"
    )
    engine.add_argument("--dtype", default="auto")
    _add_what_is_compared(engine)
    _add_counting(engine)
    engine.add_argument(
        "--json", action="store_true", help="print a JSON object a line, as soon as it is known"
    )


def _add_what_is_compared(engine: argparse.ArgumentParser) -> None:
    engine.add_argument(
        "--options", default="", metavar="NAME,...", help="speed options, each alone and together"
    )
    engine.add_argument(
        "--speed",
        default="",
        metavar="NAME,...",
        help="fast, max: as serve --speed finds them on this machine, each a line",
    )
    engine.add_argument(
        "--ladder", action="store_true", help="each option on top of those before it, not alone"
    )
    engine.add_argument(
        "--only", default="", metavar="VARIANT,...", help="these variants of all, by their names"
    )
    engine.add_argument(
        "--skip-faithful", action="store_true", help="without the path that is compared with"
    )
    engine.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="NAME",
        help="measure another program beside: diffusers, or module:function; may be repeated",
    )


def _add_counting(engine: argparse.ArgumentParser) -> None:
    engine.add_argument(
        "--count",
        action="store_true",
        help="count arithmetic, launches, bytes and memory instead; loads nothing, on any machine",
    )
    engine.add_argument(
        "--lora-rank",
        type=int,
        default=0,
        metavar="R",
        help="with --count: a live adapter of rank R beside every linear layer of the blocks",
    )
    engine.add_argument(
        "--peak",
        type=positive_of,
        metavar="TFLOPS",
        help="of the card whose ceilings --count prints",
    )
    engine.add_argument("--bandwidth", type=positive_of, metavar="GB/S", help="likewise")


def _run(options: argparse.Namespace) -> int:
    try:
        from .run import Plan, presets, run
        from .table import table
        from .workload import Workload
    except ModuleNotFoundError as error:
        print(f"bench engine needs {error.name}: pip install 'framewire[models]'", file=sys.stderr)
        return 2
    try:
        known = presets()
        if options.preset not in known:
            raise ValueError(f"no preset {options.preset!r}: choose one of {', '.join(known)}")
        preset = known[options.preset]
        steps = preset.num_denoising_steps if options.steps is None else options.steps
        if not 1 <= steps <= 8 or options.blocks < 1:
            raise ValueError("steps must be 1 to 8, and blocks at least 1")
        native = preset.name == "tiny"
        size = (832, 480) if native else (preset.width, preset.height)
        size = parse_size(options.size) if options.size else size
        live = preset.follows_input if options.live is None else options.live
        work = Workload(
            *size, steps, options.blocks, live=live, context=options.context, native=native
        )
        work.params(preset)
        if options.lora_rank < 0 or (options.lora_rank and not options.count):
            raise ValueError("--lora-rank is a rank, of 1 or more, and for --count only")
        if options.count:
            return _count(options, preset, work)
        plan = Plan(
            preset.name,
            work,
            ModelSetup(
                preset=preset.name,
                device=options.device,
                num_gpus=options.num_gpus,
                dtype="float32" if native and options.dtype == "auto" else options.dtype,
                threads=options.threads or int(native),
                options=_as_served(preset),
                context=options.context or 0,
                warm_sizes=f"{size[0]}x{size[1]}",
            ),
            _chosen(options),
            random_weights=options.random_weights or preset.name.startswith("tiny-"),
            text_encoder=options.text_encoder,
            peers=tuple(options.peer),
        )
        rows = run(plan, lambda step: print(f"measuring {step}", file=sys.stderr))
        for line in map(json.dumps, rows) if options.json else table(rows):
            print(line, flush=True)
    except (ValueError, FileNotFoundError) as error:
        print(f"framewire-worker bench engine: {escaped(str(error))}", file=sys.stderr)
        return 2
    return 0


def _as_served(preset: Any) -> EngineOptions:
    """What a worker has without options; `tiny` leaves out the pass at 0 (see its `load_tiny`)."""
    return EngineOptions(skip_zero=preset.name == "tiny")


def _count(options: argparse.Namespace, preset: Any, work: Any) -> int:
    from framewire.worker.engine.ranks.leader import check_ranks

    from .count_report import SEEN_H200, Card, count_table, counted

    card = SEEN_H200
    if options.peak or options.bandwidth:
        card = Card(
            "the card",
            options.peak or SEEN_H200.tflops,
            options.bandwidth or SEEN_H200.bandwidth,
        )
    chosen = Variant(options.options or FAITHFUL, _names(options.options))
    made_faster = chosen.options(_as_served(preset))
    if options.num_gpus != 1 and options.lora_rank:
        raise ValueError("adapters are merged where several GPUs share streams, and cost nothing")
    if options.num_gpus != 1:
        check_ranks(preset, made_faster, options.num_gpus)
    report = counted(
        preset, work, made_faster, card, chosen.label, options.num_gpus, options.lora_rank
    )
    for line in [json.dumps(report)] if options.json else count_table(report):
        print(line)
    return 0


def _chosen(options: argparse.Namespace) -> tuple[Variant, ...]:
    speeds = tuple(name for name in options.speed.split(",") if name)
    unknown = [name for name in speeds if name not in ("fast", "max")]
    if unknown:
        raise ValueError(f"no speed {unknown[0]!r} to measure beside the faithful: fast or max")
    found = variants(_names(options.options), ladder=options.ladder, speeds=speeds)
    if options.only:
        wanted = options.only.split(",")
        unknown = [name for name in wanted if name not in [one.label for one in found]]
        if unknown:
            labels = ", ".join(one.label for one in found)
            raise ValueError(f"no variant {unknown[0]!r}: choose of {labels}")
        found = [one for one in found if one.label in wanted]
    if options.skip_faithful:
        found = [one for one in found if one.label != FAITHFUL]
    if not found:
        raise ValueError("nothing is left to measure: name --options or --speed")
    return tuple(found)


def _names(text: str) -> tuple[str, ...]:
    names = tuple(OPTIONS) if text == "all" else tuple(name for name in text.split(",") if name)
    unknown = [name for name in names if name not in OPTIONS]
    if unknown:
        raise ValueError(f"no option {unknown[0]!r}: choose of {', '.join(OPTIONS)}")
    return names
