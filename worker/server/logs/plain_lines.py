"""A log in which each line that begins like one is one: callers can add none, nor steer a terminal.

Paths, reasons and names come from outside, decoded (`/session/a%0a…`).
"""

from __future__ import annotations

import logging

from framewire.protocol import escaped

_TRACEBACK = "Traceback (most recent call last):\n"


class PlainLines(logging.Filter):
    """Escapes control characters in a record, and sets the lines of its traceback in.

    A handler's last filter: what the others write into a record is seen by it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if vars(record).get("is_plain"):  # seen by another handler of the same record
            return True
        record.is_plain = True
        if isinstance(record.msg, str) and record.msg.startswith(_TRACEBACK) and not record.args:
            record.msg = _set_in(record.msg)  # uvicorn logs that of a failed start so
        else:
            record.msg, record.args = escaped(record.getMessage()), ()
        if record.exc_info and not record.exc_text:
            record.exc_text = logging.Formatter().formatException(record.exc_info)
        record.exc_text = record.exc_text and _set_in(record.exc_text)
        record.stack_info = record.stack_info and _set_in(record.stack_info)
        return True


def _set_in(text: str) -> str:
    lines = (escaped(line) for line in text.split("\n"))
    return "\n".join(f"  {line}" for line in lines)
