"""The engine's bench as a table for people; its lines come as they are measured."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

_STAGES = ("encode_still", "encode_input", "context", "denoise", "decode", "jpeg")


def table(rows: Iterable[Mapping[str, Any]]) -> Iterator[str]:
    """Lines in Markdown: what was measured on, a line a variant, then their stages."""
    seen: list[Mapping[str, Any]] = []
    for row in rows:
        if not seen:
            yield from _head(row)
        seen.append(row)
        yield _line(row)
    yield ""
    yield f"| stage, ms | {' | '.join(_STAGES)} |"
    yield f"|---|{'---|' * len(_STAGES)}"
    for row in seen:
        if "stages_ms" in row:
            stages = row["stages_ms"]
            yield f"| {row['variant']} | {' | '.join(_ms(stages.get(s)) for s in _STAGES)} |"


def _head(row: Mapping[str, Any]) -> Iterator[str]:
    work, machine = row["work"], row["machine"]
    yield (
        f"{row['preset']}, {row['weights']} weights, {work['width']}x{work['height']}, "
        f"{work['steps']} steps{', live input' if work['live'] else ''}; "
        f"{machine['device'] or 'CPU'}, {machine['dtype']}, torch {machine['torch']}, large product "
        f"{row['matmul_tflops']:g} TFLOP/s, copy {row['copy_gb']:g} GB/s"
    )
    yield ""
    yield (
        "| variant | fps | block ms (p90) | first frame ms | prompt to pixel | VRAM GB "
        "| TFLOP a block | of product rate | drift, dB (first, settled) |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"


def _line(row: Mapping[str, Any]) -> str:
    if "error" in row:
        return f"| {row['variant']} | not here: {row['error']} |" + " |" * 7
    if "theirs_ms" in row:
        ours = f", ours {row['ours_ms']:.1f} ms" if "ours_ms" in row else ""
        return f"| {row['variant']} | {row['what']}: {row['theirs_ms']:.1f} ms{ours} |" + " |" * 7
    steer = (
        f"{row['prompt_to_pixel_blocks']} block, {row['prompt_to_pixel_mean_ms']:.0f} ms, "
        f"{row['prompt_to_pixel_ms']:.0f} at worst"
    )
    if row["input_to_frame_ms"]:
        steer += f"; from input {row['input_to_frame_ms']:.0f} ms"
    drift = "not compared"
    if "psnr_first_block" in row:
        drift = f"{_db(row['psnr_first_block'])}, {_db(row['psnr_settled'])}"
    name = row["variant"]
    if row["left_out"]:
        name += f" (without {', '.join(row['left_out'])})"
    return (
        f"| {name} | {row['fps']:.2f} | {row['block_ms']:.1f} ({row['block_ms_p90']:.1f}) "
        f"| {row['first_frame_ms']:.0f} | {steer} | {row['memory_gb']:.1f} "
        f"| {row['tflop_a_block']:.4g} | {row['share_of_matmul_rate']:.0%} | {drift} |"
    )


def _db(value: float | None) -> str:
    return "equal" if value is None else f"{value:.1f}"


def _ms(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"
