"""What turns a session into blocks of frames. `base` is the seam; one file a backend."""

from __future__ import annotations

from .base import Backend

__all__ = ["NAMES", "Backend", "choose"]

NAMES = ("testcard",)


def choose(name: str) -> tuple[Backend, str]:
    """The backend called `name`, not yet loaded, and why it was chosen.

    Raises:
        ValueError: there is no such backend.
    """
    if name in ("auto", "testcard"):
        from .testcard import TestcardBackend

        why = "asked for" if name != "auto" else "it runs anywhere"
        return TestcardBackend(), why
    raise ValueError(f"no backend {name!r}: choose one of auto, {', '.join(NAMES)}")
