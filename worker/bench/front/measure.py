"""Streams watched directly and through a front in turn, and the CPU time of the front meanwhile."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from framewire.protocol import ErrorCode, Params
from framewire.protocol.codec import pack_map

_ROUNDS = 3
_PATIENCE = 30.0
"""Seconds without a frame after which a measurement has failed."""
_AGAIN = 0.5
"""Seconds after which a place is asked for again."""
_ENDLESS = 1_000_000_000
_AT_CAPACITY = f'"{ErrorCode.AT_CAPACITY}"'
_FULL = (429, 503)
"""Answers of fronts that find room nowhere."""


class FrontError(RuntimeError):
    """Something that was to be measured does not stream, or is not there."""


class _Full(ConnectionRefusedError):
    """Every place is taken."""


@dataclass(frozen=True, slots=True)
class Way:
    """One way to a worker: what it is called, its address, and the processes that it costs."""

    name: str
    url: str
    pids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Cost:
    """One way's, over all rounds.

    Attributes:
        cpu_ms: milliseconds of its processes a frame, the median of the rounds.
        kilobytes: a frame.
        fps: frames a second of all sessions together.
    """

    name: str
    sessions: int
    frames: int
    cpu_ms: float
    kilobytes: float
    fps: float


def measure(
    ways: Sequence[Way],
    *,
    sessions: int,
    frames: int,
    fps: float,
    size: tuple[int, int],
    tell: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Each way's cost; they take turns, so that what else runs here disturbs all of them alike.

    Args:
        frames: of each way in each round, over all sessions.
        fps: that each session asks for; 0 for as fast as they come.

    Raises:
        FrontError: says which way, and why.
    """
    rounds: dict[str, list[tuple[float, int, float, int]]] = {way.name: [] for way in ways}
    for turn in range(_ROUNDS):
        for way in ways:
            tell(f"{way.name}, round {turn + 1} of {_ROUNDS}")
            watching = _watch(way, sessions, frames, fps, size)
            try:
                rounds[way.name].append(asyncio.run(watching))
            except (OSError, TimeoutError, InvalidHandshake, ConnectionClosed) as error:
                reason = str(error) or "no frames came"
                raise FrontError(f"{way.name} at {_bare(way.url)}: {reason}") from error
    found = []
    for name, taken in rounds.items():
        per_frame = sorted(1000 * cpu / count for cpu, count, _, _ in taken)
        count = sum(one[1] for one in taken)
        cost = Cost(
            name,
            sessions,
            count,
            round(per_frame[len(per_frame) // 2], 3),
            round(sum(one[3] for one in taken) / count / 1000, 1),
            round(count / sum(one[2] for one in taken), 1),
        )
        found.append(asdict(cost))
    return found


async def _watch(
    way: Way, sessions: int, frames: int, fps: float, size: tuple[int, int]
) -> tuple[float, int, float, int]:
    """Seconds of CPU, frames, seconds and bytes, once all sessions stream."""
    params = Params(
        prompt="a fox", width=size[0], height=size[1], num_blocks=_ENDLESS, seed=1, fps=fps
    )
    counts, begun = [0, 0], [asyncio.Event() for _ in range(sessions)]

    async def view(first: asyncio.Event) -> None:
        async with connect(way.url, compression=None, max_size=None, proxy=None) as socket:
            await socket.send(pack_map(params.wire()))
            async for message in socket:
                if isinstance(message, bytes):
                    first.set()
                    counts[0] += 1
                    counts[1] += len(message)
                elif '"x-fal-error"' in message:
                    kind = _Full if _AT_CAPACITY in message else ConnectionRefusedError
                    raise kind(message[:200])

    async def view_once_there_is_room(first: asyncio.Event, until: float) -> None:
        """Of the round before a place may not be free yet."""
        while True:
            try:
                return await view(first)
            except (_Full, InvalidStatus) as error:
                full = isinstance(error, _Full) or error.response.status_code in _FULL
                if not full or first.is_set() or time.monotonic() > until:
                    raise
            await asyncio.sleep(_AGAIN)

    async def measured() -> tuple[float, int, float, int]:
        async with asyncio.timeout(2 * _PATIENCE):
            for first in begun:
                await first.wait()
        cpu, at, before = _cpu_seconds(way.pids), time.monotonic(), tuple(counts)
        newest = at
        while counts[0] - before[0] < frames:
            seen = counts[0]
            await asyncio.sleep(0.05)
            newest = time.monotonic() if counts[0] > seen else newest
            if time.monotonic() - newest > _PATIENCE:
                raise TimeoutError
        took, spent = time.monotonic() - at, _cpu_seconds(way.pids) - cpu
        return spent, counts[0] - before[0], took, counts[1] - before[1]

    until = time.monotonic() + _PATIENCE
    tasks = [asyncio.create_task(view_once_there_is_room(first, until)) for first in begun]
    result = asyncio.create_task(measured())
    try:
        await asyncio.wait([result, *tasks], return_when=asyncio.FIRST_COMPLETED)
        for ended in tasks:
            if ended.done():
                ended.result()
                raise ConnectionAbortedError("it closed the stream")
        return await result
    finally:
        for task in (result, *tasks):
            task.cancel()
        await asyncio.gather(result, *tasks, return_exceptions=True)


def _cpu_seconds(pids: Sequence[int]) -> float:
    """User and system time of processes, by Linux's own count.

    Raises:
        FrontError: one is not there.
    """
    ticks = 0
    for pid in pids:
        try:
            line = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
        except OSError:
            raise FrontError(f"there is no process {pid} to be measured") from None
        ticks += sum(map(int, line.rpartition(")")[2].split()[11:13]))
    return ticks / os.sysconf("SC_CLK_TCK")


def _bare(url: str) -> str:
    """Without the query, in which a token may stand."""
    return url.partition("?")[0]
