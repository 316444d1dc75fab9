"""What of a frame's cost is arithmetic: float to 8 bits, and JPEG encoding, each alone.

Measured in this process on one thread, so that what a whole row costs beyond them is the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

from framewire.worker.runtime.pictures import encode_jpegs
from framewire.worker.runtime.pixels import eight_bit, packed

from .content import planes_of

_TIMES = 5


@dataclass(frozen=True, slots=True)
class Parts:
    """Milliseconds of CPU a frame, and the size of a JPEG."""

    content: str
    convert_ms: float
    jpeg_ms: float
    jpeg_kb: float


def parts_of(content: str, width: int, height: int) -> Parts:
    """The parts of a frame of `content`; the least of a few tries each."""
    planes = planes_of(content, width, height)
    frames = eight_bit(planes)
    jpegs = encode_jpegs(frames)

    def convert() -> None:
        for _ in packed(planes):
            pass

    return Parts(
        content,
        convert_ms=round(_cpu_ms(convert) / len(planes), 3),
        jpeg_ms=round(_cpu_ms(lambda: encode_jpegs(frames)) / len(planes), 3),
        jpeg_kb=round(sum(map(len, jpegs)) / len(jpegs) / 1000, 1),
    )


def _cpu_ms(call: Callable[[], object]) -> float:
    def once() -> float:
        began = time.process_time()
        call()
        return 1000 * (time.process_time() - began)

    return min(once() for _ in range(_TIMES))
