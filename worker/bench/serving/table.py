"""The report of `bench serving` for people: a Markdown table and a few lines. Measures nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

_HEAD = ("", "content", "sessions", "fps", "CPU ms/frame", "of plain", "p50 ms", "p95 ms", "MB")


def table(report: dict[str, Any]) -> Iterator[str]:
    """The lines of a report of `serving.run`."""
    width, height = report["size"]
    machine = report["machine"]
    cpus = f"{machine['cpus']} CPUs ({machine['cpu']})"
    yield f"{width}x{height}, {cpus}, Python {machine['python']}; ms are a frame's CPU time,"
    yield "p50 and p95 are from a block being ready to its last byte sent; plain begins with the"
    yield "float tensor of a decoder, framewire with the 8-bit frames that backends hand over"
    yield from _rows(report["rows"])
    yield "one block every 0.1 s:"
    yield from _rows(report["unhurried"])
    for one in report["memory"]:
        yield f"memory serving {one['sessions']}: {one['mb']:.0f} MB after {one['frames']} frames"
    for one in report["parts"]:
        yield (f"{one['content']}: JPEG {one['jpeg_ms']:.2f} ms for {one['jpeg_kb']:.0f} kB")
    saving = report["saving"]
    yield (
        f"receiving and saving: {saving['client_fps']:.0f} frames/s, a bare websockets loop "
        f"{saving['bare_fps']:.0f} ({saving['of_bare']:.0%})"
    )


def _rows(rows: list[dict[str, Any]]) -> Iterator[str]:
    yield _line(_HEAD)
    yield _line(["---", "---", *["---:"] * (len(_HEAD) - 2)])
    for row in rows:
        yield _line(
            [
                row["way"],
                row["content"],
                str(row["sessions"]),
                f"{row['fps']:.0f}",
                f"{row['cpu_ms']:.2f}",
                "" if row["of_plain"] is None else f"{row['of_plain']:.0%}",
                f"{row['delivery_ms_p50']:.1f}",
                f"{row['delivery_ms_p95']:.1f}",
                f"{row['memory_mb']:.0f}",
            ]
        )


def _line(cells: list[str] | tuple[str, ...]) -> str:
    return f"| {' | '.join(cells)} |"
