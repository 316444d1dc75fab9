"""A log that callers cannot fill: of one statement, so many lines a minute and a count of the rest."""

from __future__ import annotations

import logging
import time

LINES = 300
SECONDS = 60.0


class FewLines(logging.Filter):
    """Drops what one statement says beyond `LINES` within `SECONDS`; lines of DEBUG all pass."""

    def __init__(self) -> None:
        super().__init__()
        self._written: dict[tuple[str, int], tuple[int, float]] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        if record.levelno < logging.INFO:
            return True
        statement, now = (record.pathname, record.lineno), time.monotonic()
        count, since = self._written.get(statement, (0, now))
        if now - since >= SECONDS:
            if count > LINES:
                message = f"{record.getMessage()} ({count - LINES} lines like this were left out)"
                record.msg, record.args = message, ()
            count, since = 0, now
        self._written[statement] = count + 1, since
        return count < LINES
