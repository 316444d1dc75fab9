"""What of a frame's cost is arithmetic: JPEG encoding, alone.

Measured in this process on one thread, so that what a whole row costs beyond them is the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from framewire.worker.runtime.pictures import encode_jpegs

from .content import frames_of

_TIMES = 5


@dataclass(frozen=True, slots=True)
class Parts:
    """Milliseconds of CPU a frame, and the size of a JPEG."""

    content: str
    jpeg_ms: float
    jpeg_kb: float


def parts_of(content: str, width: int, height: int) -> Parts:
    """The parts of a frame of `content`; the least of a few tries each."""
    frames = frames_of(content, width, height)
    jpegs = encode_jpegs(frames)
    return Parts(
        content,
        jpeg_ms=round(_cpu_ms(lambda: encode_jpegs(frames)) / len(frames), 3),
        jpeg_kb=round(sum(map(len, jpegs)) / len(jpegs) / 1000, 1),
    )


def _cpu_ms(call: Callable[[], object]) -> float:
    def once() -> float:
        began = time.process_time()
        call()
        return 1000 * (time.process_time() - began)

    return min(once() for _ in range(_TIMES))
