"""The stages of a block, and the hook by which someone may time them.

Knows no clock: on a GPU the caller records events, on a CPU it reads a counter.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

Stage = Literal["encode", "context", "denoise", "decode"]
"""Input pictures to latents; clean latents into the cache; one denoise pass; latents to frames."""

StageTimer = Callable[[Stage], AbstractContextManager[None]]


def untimed(stage: Stage) -> AbstractContextManager[None]:
    """The timer that does nothing."""
    return nullcontext()
