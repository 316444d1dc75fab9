"""How long a new prompt takes to be seen, wherever in a block it is said.

As served: prompts are encoded beside the lane, and blocks finished beside the next one.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from framewire.worker.backends.base import Block, Change, InParts
from framewire.worker.backends.wan import WanBackend
from framewire.worker.runtime.pictures import encode_jpegs

from .workload import Workload, next_block

_OTHER = "a blue bird flies over the sea at night"


def steering(backend: WanBackend, work: Workload, block_s: float) -> tuple[list[float], int]:
    """Milliseconds from prompts to the first JPEGs that show each, and how many blocks later.

    A prompt is said in each of the measured blocks, each a little later after its block has begun:
    the first, which waits the longest, at once.

    Args:
        block_s: seconds that a block takes.
    """
    late = _blocks_until_it_shows(backend, work)
    settled = work.settled(backend.preset)
    session = backend.open(work.settings(backend.defaults))
    said: list[float] = []
    shown: list[Future[float]] = []
    with ThreadPoolExecutor(1) as codec, ThreadPoolExecutor(1) as viewer:

        def say(text: str, after: float) -> object:
            time.sleep(after)
            said.append(time.perf_counter())
            return backend.encode(text, None)

        for block in range(settled + work.blocks + late):
            nth = block - settled
            prompt = f"{_OTHER}, {nth}" if 0 <= nth < work.blocks else None
            saying = prompt and viewer.submit(say, prompt, block_s * nth / work.blocks)
            shown.append(codec.submit(_first_jpegs, next_block(session, work, block)))
            if saying:
                session.steer(Change(prompt=prompt, interp_steps=1, encoded=saying.result()))
        first = settled + late
        waits = [1000 * (at.result() - then) for at, then in zip(shown[first:], said, strict=True)]
    session.close()
    return waits, late


def _first_jpegs(finish: Callable[[], Block]) -> float:
    """When the first frames of a block are there; the others are made as well."""
    if not isinstance(finish, InParts):
        encode_jpegs(finish().frames)
        return time.perf_counter()
    part = finish.part()
    encode_jpegs(part.frames)
    first = time.perf_counter()
    while part.left:
        part = finish.part()
        encode_jpegs(part.frames)
    return first


def _blocks_until_it_shows(backend: WanBackend, work: Workload) -> int:
    """Blocks from the one under way to the first that differs from an unsteered stream's."""
    settled = work.settled(backend.preset)
    plain = _blocks(backend, work, settled + 4)
    steered = _blocks(backend, work, settled + 4, steer_after=settled)
    for late, pair in enumerate(zip(plain[settled + 1 :], steered[settled + 1 :], strict=True), 1):
        if not np.array_equal(*pair):
            return late
    raise RuntimeError("the new prompt does not show")


def _blocks(
    backend: WanBackend, work: Workload, count: int, steer_after: int | None = None
) -> list[NDArray[np.uint8]]:
    session = backend.open(work.settings(backend.defaults))
    made = []
    for block in range(count):
        made.append(next_block(session, work, block)().frames)
        if block == steer_after:
            session.steer(Change(prompt=_OTHER, interp_steps=1))
    session.close()
    return made
