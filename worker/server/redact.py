"""What a log must not show: tokens and keys, in URLs and headers."""

from __future__ import annotations

import logging
import re

_SECRET = re.compile(
    r"((?:fal_jwt_token|token|key)=)[^&\s\"']+|(authorization: *).*|\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)?",
    re.IGNORECASE,
)


class RedactTokens(logging.Filter):
    """Takes tokens and keys out of URLs and headers before a line is written."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = _SECRET.sub(r"\1\2…", message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        return True
