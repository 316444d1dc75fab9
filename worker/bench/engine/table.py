"""The engine's bench as a table for people."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_STAGES = ("encode_still", "encode_input", "context", "denoise", "decode", "jpeg")


def table(report: dict[str, Any]) -> Iterator[str]:
    """The report's lines, in Markdown."""
    work, machine = report["work"], report["machine"]
    yield (
        f"{report['preset']}, {report['weights']} weights, {work['width']}x{work['height']}, "
        f"{work['steps']} steps{', live input' if work['live'] else ''}; {machine['device'] or 'CPU'}, {machine['dtype']}, "
        f"torch {machine['torch']}, large product {report['matmul_tflops']:g} TFLOP/s"
    )
    yield ""
    yield (
        "| variant | fps | block ms | first frame ms | prompt to pixel | VRAM GB | TFLOP a block "
        "| of product rate | drift, dB (first, settled) |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in report["variants"]:
        yield _line(row)
    yield ""
    yield f"| stage, ms | {' | '.join(_STAGES)} |"
    yield f"|---|{'---|' * len(_STAGES)}"
    for row in report["variants"]:
        if "error" not in row:
            stages = row["stages_ms"]
            yield f"| {row['variant']} | {' | '.join(_ms(stages.get(s)) for s in _STAGES)} |"


def _line(row: dict[str, Any]) -> str:
    if "error" in row:
        return f"| {row['variant']} | not here: {row['error']} |" + " |" * 7
    steer = f"{row['prompt_to_pixel_blocks']} block, {row['prompt_to_pixel_ms']:.0f} ms"
    if row["input_to_frame_ms"]:
        steer += f"; from input {row['input_to_frame_ms']:.0f} ms"
    drift = f"{_db(row['psnr_first_block'])}, {_db(row['psnr_settled'])}"
    return (
        f"| {row['variant']} | {row['fps']:.2f} | {row['block_ms']:.1f} "
        f"| {row['first_frame_ms']:.0f} | {steer} | {row['memory_gb']:.1f} "
        f"| {row['tflop_a_block']:.4g} | {row['share_of_matmul_rate']:.0%} | {drift} |"
    )


def _db(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
