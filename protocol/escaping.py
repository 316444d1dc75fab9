"""Text from a peer, made safe to print and to log: nothing in it controls a terminal or a line.

Control characters of both sets (ECMA-48's C0 and C1), line separators, what turns the reading
order (UAX 9) and lone surrogates become escapes as JSON writes them.
"""

from __future__ import annotations

import re

_CONTROLS = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
_SHORT = {"\n": r"\n", "\r": r"\r", "\t": r"\t"}


def escaped(text: str) -> str:
    """`text` in one line of printable letters; a text without controls is unchanged."""
    return _CONTROLS.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    return _SHORT.get(found[0]) or f"\\u{ord(found[0]):04x}"
