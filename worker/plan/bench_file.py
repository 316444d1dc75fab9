"""Reading what `framewire-worker bench engine|serving --json` printed: JSON, an object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any


class BenchFileError(ValueError):
    """A file does not say what is asked of it; the message says what is wrong and what would do."""


@dataclass(frozen=True, slots=True)
class EngineBench:
    """One variant of `bench engine`.

    Attributes:
        fps: frames a second of all streams together.
        device: what it ran on; empty on a CPU.
        memory_gb: most that the GPU held, with one stream.
        start: seconds to load and to warm up.
    """

    preset: str
    variant: str
    fps: float
    device: str
    memory_gb: float
    start: float


@dataclass(frozen=True, slots=True)
class ServingBench:
    """The best of our rows of `bench serving`: what a process gets out of its socket, model apart."""

    fps: float
    sessions: int


@dataclass(frozen=True, slots=True)
class Bench:
    """What a file measured of either."""

    path: str
    engine: EngineBench | None
    serving: ServingBench | None


def read_bench(path: str, preset: str, variant: str) -> Bench:
    """What a file says of a preset's variant.

    Raises:
        BenchFileError: it cannot be read, or has neither that variant nor a report on serving.
    """
    rows = _rows(path)
    try:
        serving = _serving([row for row in rows if row.get("bench") == "serving"])
        engine = _engine(path, [row for row in rows if "variant" in row], preset, variant)
    except (KeyError, TypeError, ValueError) as error:
        if isinstance(error, BenchFileError):
            raise
        raise BenchFileError(
            f"{path}: {type(error).__name__} ({error}): it is not as bench prints it"
        ) from None
    if engine is None and serving is None:
        raise BenchFileError(
            f"{path}: no line of a bench; make it with framewire-worker bench engine --preset "
            f"{preset} --json > {path}"
        )
    return Bench(path, engine, serving)


def _rows(path: str) -> list[Mapping[str, Any]]:
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise BenchFileError(f"{path}: cannot be read: {error}") from None
    rows: list[Mapping[str, Any]] = []
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError:
            row = None
        if not isinstance(row, dict):
            raise BenchFileError(
                f"{path}, line {number}: no JSON object; was it made with --json, "
                "with standard output alone in it?"
            )
        rows.append(row)
    return rows


def _engine(
    path: str, rows: list[Mapping[str, Any]], preset: str, variant: str
) -> EngineBench | None:
    if not rows:
        return None
    of_preset = [row for row in rows if row["preset"] == preset]
    if not of_preset:
        found = ", ".join(sorted({str(row["preset"]) for row in rows}))
        raise BenchFileError(f"{path}: measures {found}, not {preset}")
    measured = {str(row["variant"]): row for row in of_preset if "fps" in row}
    if not measured:
        counted = any("ceilings" in row for row in of_preset)
        why = "counts; leave --count out to measure" if counted else "no variant was measured"
        raise BenchFileError(f"{path}: {why}")
    if variant not in measured:
        raise BenchFileError(
            f"{path}: no variant {variant!r} was measured; --variant can be {', '.join(measured)}"
        )
    row = measured[variant]
    return EngineBench(
        preset,
        variant,
        _positive(row["fps"]),
        str(row["machine"]["device"]) if row["machine"]["capability"] else "",
        float(row["memory_gb"]),
        float(row["load_s"]) + float(row["warm_up_s"]),
    )


def _serving(reports: list[Mapping[str, Any]]) -> ServingBench | None:
    ours = [row for report in reports for row in report["rows"] if row["way"] == "framewire"]
    best = max(ours, key=lambda row: float(row["fps"]), default=None)
    return best and ServingBench(_positive(best["fps"]), int(best["sessions"]))


def _positive(value: Any) -> float:
    number = float(value)
    if not (math.isfinite(number) and number > 0):
        raise ValueError(f"{value!r} is no measurement")
    return number
