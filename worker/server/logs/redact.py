"""What a log must not show: tokens and keys, wherever a caller has put them.

Of URLs the values of a few parameters are shown, of a request's headers those that hold no secret
by what they are for; a name that is not known here is taken for a key's. Whatever looks like a
token, or stands behind a name of one, is taken out of every other text as well.
"""

from __future__ import annotations

import logging
import re

_PLAIN_PARAMETERS = "events|fmt|record"
_PLAIN_HEADERS = (
    "accept|accept-encoding|accept-language|connection|content-length|content-type|date|host|origin"
    "|sec-websocket-extensions|sec-websocket-version|server|transfer-encoding|upgrade|user-agent"
)
_SECRET_HEADERS = (
    r"[\w-]*authorization|[\w-]*cookie|sec-websocket-protocol"
    r"|[\w-]*(?:api|auth|access)[_-]?(?:key|token|secret)"
)
_DOT = r"(?:\.|%(?:25)*2e)"
_SECRET = re.compile(
    rf"(?P<parameter>[?&#](?!(?:{_PLAIN_PARAMETERS})=)[^=&\s\"']*=)[^&\s\"']+"
    rf"|(?P<line>^[<>] (?!(?:{_PLAIN_HEADERS}):)[\w!#$%&'*+.^`|~-]+: ).*"
    rf"|(?P<header>\b(?:{_SECRET_HEADERS})['\"]?\s*[:=,]\s*).*"
    r"|(?P<named>\b(?:fal_jwt_token|token|key)=)[^&\s\"']+"
    rf"|\beyJ[\w-]+{_DOT}[\w-]+(?:{_DOT}[\w-]*)?",
    re.IGNORECASE | re.MULTILINE,
)


class RedactTokens(logging.Filter):
    """Takes tokens and keys out of a line, and out of its traceback, before it is written."""

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        redacted = without_secrets(message)
        if redacted != message:
            record.msg, record.args = redacted, ()
        if record.exc_info and not record.exc_text:
            record.exc_text = without_secrets(logging.Formatter().formatException(record.exc_info))
        return True


def without_secrets(text: str) -> str:
    """`text` with … in the place of what opens a door."""
    return _SECRET.sub(
        lambda found: (found[found.lastgroup] if found.lastgroup else "") + "…", text
    )
