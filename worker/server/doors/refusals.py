"""Turning callers away: the reasons, counted in the metrics and said in the log once a minute."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from enum import StrEnum

from framewire.worker.runtime.metrics import Metrics

logger = logging.getLogger(__name__)

LOG_SECONDS = 60.0


class Reason(StrEnum):
    """Why a caller was turned away, as in `framewire_refusals_total{reason=…}`."""

    CONNECTIONS = "connections"
    HANDSHAKES = "handshakes"
    SOCKETS = "sockets"
    TOKENS = "tokens"
    CLIPS = "clips"
    JOBS = "jobs"
    UPLOADS = "uploads"
    STORAGE = "storage"
    EXPANSIONS = "expansions"
    HALF_MESSAGES = "half_messages"
    LATE_MESSAGE = "late_message"


class Refused(Exception):
    """This caller holds as much as it may; the message is one line for it."""


@dataclass(slots=True)
class _Unsaid:
    """How many were turned away since the log was told."""

    count: int = 0
    told_at: float = float("-inf")


class Refusals:
    """The count of one server."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics
        self._unsaid = {reason: _Unsaid() for reason in Reason}
        for reason in Reason:
            metrics.refusals.labels(reason)

    def refused(self, reason: Reason, message: str, address: str | None) -> Refused:
        """Count one.

        Args:
            address: as it is counted; None where it is exempt or does not matter.

        Returns:
            An error to raise, where one is to be.
        """
        self._metrics.refusals.labels(reason).inc()
        unsaid, now = self._unsaid[reason], time.monotonic()
        unsaid.count += 1
        if now - unsaid.told_at >= LOG_SECONDS:
            who = f", the last from {address}" if address else ""
            logger.warning("turned away: %d (%s: %s)%s", unsaid.count, reason, message, who)
            unsaid.count, unsaid.told_at = 0, now
        return Refused(message)
