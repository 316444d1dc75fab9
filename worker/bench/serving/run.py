"""`framewire-worker bench serving`: what serving frames costs, beside the plain way to do it.

Owns which rows are measured. Rows to be compared are measured one right after the other; what
counts is CPU time, which other programs on the machine disturb the least.
"""

from __future__ import annotations

import math
import os
import platform
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from framewire.worker.backends.testcard import BLOCK_FRAMES

from .gauges import Window
from .parts import parts_of
from .plan import Plan
from .processes import ServingProcess, Setup, Way, serving, viewing
from .saving import measure as measure_saving

_WARM_UP_BLOCKS = 2
_PAUSE = 0.1
_PAUSED_BLOCKS = 20
_SECONDS_A_BLOCK = 10.0
"""After so long without one, the bench gives up."""


@dataclass(frozen=True, slots=True)
class Row:
    """One way to serve, measured once; see `Setup.way`.

    Attributes:
        fps: frames a second over all sessions.
        cpu_ms: of the serving process, a frame.
        of_plain: that as part of the plain way's, which begins a step earlier: with the float tensor.
        delivery_ms_p50: from a block being ready to its last byte sent.
        memory_mb: resident at the end.
    """

    way: str
    content: str
    sessions: int
    frames: int
    fps: float
    cpu_ms: float
    of_plain: float | None
    delivery_ms_p50: float
    delivery_ms_p95: float
    memory_mb: float


def run(plan: Plan, tell: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; `tell` is told what is being measured.

    Raises:
        TimeoutError: a process did not start, or delivered nothing for long.
    """
    rows: list[Row] = []
    for sessions in plan.sessions:
        for content in plan.contents:
            tell(f"{content} to {sessions}")
            rows += _beside_plain(plan, content, sessions, pause=0.0)
        tell(f"test card to {sessions}")
        rows.append(_row(plan, "testcard", "card", sessions))
    tell("one block at a time")
    unhurried = _beside_plain(plan, plan.contents[0], 1, pause=_PAUSE)
    memory: list[dict[str, Any]] = []
    for sessions in plan.sessions:
        tell(f"memory, serving {sessions}")
        memory += _memory(plan, sessions)
    tell("the parts of a frame, and saving")
    return {
        "bench": "serving",
        "size": [plan.width, plan.height],
        "machine": _machine(),
        "rows": [asdict(row) for row in rows],
        "unhurried": [asdict(row) for row in unhurried],
        "memory": memory,
        "parts": [asdict(parts_of(content, plan.width, plan.height)) for content in plan.contents],
        "saving": asdict(
            measure_saving(plan.saved_frames, plan.width, plan.height, plan.saving_times)
        ),
    }


def _beside_plain(plan: Plan, content: str, sessions: int, pause: float) -> list[Row]:
    plain = _row(plan, "plain", content, sessions, pause)
    return [plain, _row(plan, "framewire", content, sessions, pause, plain.cpu_ms)]


def _row(
    plan: Plan,
    way: Way,
    content: str,
    sessions: int,
    pause: float = 0.0,
    plain_ms: float | None = None,
) -> Row:
    setup = Setup(way, content, plan.width, plan.height, sessions, pause)
    blocks = -(-plan.frames // BLOCK_FRAMES)
    blocks = min(blocks, _PAUSED_BLOCKS) if pause else blocks
    with serving(setup) as server, viewing(server.url, setup):
        _deliver(server, _WARM_UP_BLOCKS * sessions)
        window = _deliver(server, blocks)
    frames = window.blocks * BLOCK_FRAMES
    cpu_ms = 1000 * window.cpu_seconds / frames
    ms = sorted(1000 * seconds for seconds in window.delivery_seconds)
    return Row(
        way=way,
        content=content,
        sessions=sessions,
        frames=frames,
        fps=round(frames / window.seconds, 1),
        cpu_ms=round(cpu_ms, 3),
        of_plain=round(cpu_ms / plain_ms, 3) if plain_ms else None,
        delivery_ms_p50=round(statistics.median(ms), 2),
        delivery_ms_p95=round(ms[math.ceil(0.95 * len(ms)) - 1], 2),
        memory_mb=round(window.memory_mb, 1),
    )


def _memory(plan: Plan, sessions: int) -> list[dict[str, Any]]:
    """Resident memory of one server at each of `memory_frames`."""
    found: list[dict[str, Any]] = []
    blocks = 0
    setup = Setup("framewire", plan.contents[0], plan.width, plan.height, sessions)
    with serving(setup) as server, viewing(server.url, setup):
        for frames in sorted(plan.memory_frames):
            window = _deliver(server, max(1, -(-frames // BLOCK_FRAMES) - blocks))
            blocks += window.blocks
            mb = round(window.memory_mb, 1)
            found.append({"sessions": sessions, "frames": blocks * BLOCK_FRAMES, "mb": mb})
    return found


def _deliver(server: ServingProcess, blocks: int) -> Window:
    return server.window(blocks, _SECONDS_A_BLOCK * blocks)


def _machine() -> dict[str, Any]:
    return {
        "cpus": os.cpu_count(),
        "cpu": _cpu_name(),
        "python": platform.python_version(),
    }


def _cpu_name() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return next(iter(names), platform.processor() or platform.machine())
