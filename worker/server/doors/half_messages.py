"""Messages of which a part has come, in the memory of all websockets: how much, and how old.

What is over the bound is given up from its oldest on, whoever sends it.
"""

from __future__ import annotations

from typing import Protocol

from framewire.worker.runtime.metrics import Metrics

from .refusals import Reason, Refusals

MOST_BYTES = 256_000_000
MOST_BYTES_OF_ONE = 64_000_000
"""Of one address; loopback is exempt from this one."""


class Assembler(Protocol):
    """Who puts a message together."""

    def give_up(self, code: int, reason: str) -> None:
        """Close, and let go of what has come."""


class HalfMessages:
    """The bytes held by each assembler, the oldest message first."""

    def __init__(self, metrics: Metrics, refusals: Refusals) -> None:
        self.bytes = 0
        self._metrics = metrics
        self._refusals = refusals
        self._held: dict[Assembler, tuple[str | None, int]] = {}
        self._of_one: dict[str | None, int] = {}

    def hold(self, assembler: Assembler, caller: str | None, size: int) -> None:
        """So many bytes of the assembler's message have come; others may be given up for it."""
        self._add(caller, size - self._held.get(assembler, (caller, 0))[1])
        self._held[assembler] = (caller, size)
        while caller is not None and self._of_one.get(caller, 0) > MOST_BYTES_OF_ONE:
            of_caller = (each for each, (key, _) in self._held.items() if key == caller)
            self._give_up(next(of_caller), "your address sends too many messages at once")
        while self.bytes > MOST_BYTES:
            self._give_up(next(iter(self._held)), "too many messages are on their way at once")

    def too_late(self, caller: str | None, reason: str) -> None:
        """Count a message that is given up for its age."""
        self._refusals.refused(Reason.LATE_MESSAGE, reason, caller)

    def release(self, assembler: Assembler) -> None:
        """Its message is whole or gone; nothing happens where it holds none."""
        caller, size = self._held.pop(assembler, (None, 0))
        self._add(caller, -size)

    def _add(self, caller: str | None, size: int) -> None:
        self.bytes += size
        self._metrics.half_message_bytes.set(self.bytes)
        self._of_one[caller] = self._of_one.get(caller, 0) + size
        if not self._of_one[caller]:
            del self._of_one[caller]

    def _give_up(self, assembler: Assembler, reason: str) -> None:
        caller, _ = self._held[assembler]
        self.release(assembler)
        self._refusals.refused(Reason.HALF_MESSAGES, reason, caller)
        assembler.give_up(1009, reason)
