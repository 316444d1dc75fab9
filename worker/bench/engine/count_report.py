"""`bench engine --count`: the counts of a block as JSON and as a table, and the ceilings they set."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import Preset

from .count import BlockCount, count_block
from .workload import Workload


@dataclass(frozen=True, slots=True)
class Card:
    """What a card does in a second.

    Attributes:
        tflops: 10^12 operations of large bfloat16 products.
        bandwidth: 10^9 bytes read and written.
    """

    name: str
    tflops: float
    bandwidth: float


SEEN_H200 = Card("H200, as seen", 788.0, 4300.0)


def counted(
    preset: Preset,
    work: Workload,
    options: EngineOptions,
    card: Card,
    variant: str = "faithful",
    ranks: int = 1,
    lora_rank: int = 0,
) -> dict[str, Any]:
    """The report as it goes into JSON; numbers are of one settled block in eager mode.

    Args:
        ranks: of which the counts are rank 0's.
        lora_rank: of a live adapter, if there is one.
    """
    found = count_block(
        preset, work.params(preset), options, live=work.live, ranks=ranks, lora_rank=lora_rank
    )
    held = {owner: round(size / 1e9, 3) for owner, size in found.memory.items()}
    return {
        "variant": variant,
        "preset": preset.name,
        "work": asdict(work),
        "num_gpus": ranks,
        "lora_rank": lora_rank,
        "frames": found.frames,
        "tflop": round(found.flops / 1e12, 6),
        "stages": {
            name: {
                "tflop": round(work.flops / 1e12, 6),
                "launches": work.launches,
                "traffic_gb": round(work.traffic / 1e9, 3),
                "peak_gb": round(work.peak / 1e9, 3),
                "sent_gb": round(work.sent / 1e9, 6),
            }
            for name, work in found.stages.items()
        },
        "sent_gb": round(found.sent / 1e9, 6),
        "memory_gb": held,
        "memory_at_its_peak_gb": round(_most(found) / 1e9, 3),
        "ceilings": _ceilings(found, card),
    }


def count_table(report: Mapping[str, Any]) -> Iterator[str]:
    """The report's lines, in Markdown."""
    work = report["work"]
    yield (
        f"{report['preset']}, {work['width']}x{work['height']}, {work['steps']} steps"
        f"{', live input' if work['live'] else ''}: a settled block of {report['frames']} frames, "
        "counted, not measured"
    )
    if report["num_gpus"] > 1:
        yield (
            f"rank 0 of {report['num_gpus']}, which sends {report['sent_gb']:.4g} GB a block to "
            "the others and gets as much"
        )
    if report["lora_rank"]:
        yield f"a live adapter of rank {report['lora_rank']} beside every linear layer of the blocks"
    yield ""
    yield "| stage | TFLOP | launches, eager | GB moved besides products | GB at its peak |"
    yield "|---|---|---|---|---|"
    for name, stage in report["stages"].items():
        yield (
            f"| {name} | {stage['tflop']:.4g} | {stage['launches']:,} | {stage['traffic_gb']:.4g} "
            f"| {stage['peak_gb']:.3g} |"
        )
    launches = sum(stage["launches"] for stage in report["stages"].values())
    traffic = sum(stage["traffic_gb"] for stage in report["stages"].values())
    yield f"| **all** | {report['tflop']:.4g} | {launches:,} | {traffic:.4g} | |"
    yield ""
    yield "| memory | GB |"
    yield "|---|---|"
    for owner, size in report["memory_gb"].items():
        yield f"| {owner} | {size:.3g} |"
    yield f"| **with one stream, at its peak** | {report['memory_at_its_peak_gb']:.3g} |"
    yield ""
    ceilings = report["ceilings"]
    yield (
        f"{ceilings['card']} ({ceilings['tflops']:g} TFLOP/s, {ceilings['bandwidth_gb']:g} GB/s): at "
        f"most {ceilings['fps_compiled']:.1f} frames a second if nothing but products took time, "
        f"{ceilings['fps_eager']:.1f} with what is moved besides, launches left out"
    )


def _most(found: BlockCount) -> int:
    """Bytes with one stream while the hungriest stage runs."""
    beside = max(work.peak for work in found.stages.values())
    stays = sum(size for owner, size in found.memory.items() if not owner.endswith(", beside"))
    return stays + beside


def _ceilings(found: BlockCount, card: Card) -> dict[str, Any]:
    products = found.flops / (card.tflops * 1e12)
    moves = found.traffic / (card.bandwidth * 1e9)
    return {
        "card": card.name,
        "tflops": card.tflops,
        "bandwidth_gb": card.bandwidth,
        "fps_compiled": round(found.frames / products, 3),
        "fps_eager": round(found.frames / (products + moves), 3),
    }
