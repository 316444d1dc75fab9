"""Text for people's terminals: what it may hold, how wide it is drawn, streams that take any of it.

Widths are those of Unicode's East Asian Width (UAX 11), and where terminals differ the larger one.
"""

from __future__ import annotations

import io
import json
import os
import re
import sys
import unicodedata
from typing import Any, TextIO

from framewire.protocol import escaped

_BREAKS = re.compile("[\t-\r\x85\u2028\u2029]")
_EMOJI = range(0x1F100, 0x20000)  # not all of them are known to every Python's tables
_EMOJI_STYLE = "\ufe0f"  # after a narrow sign: draw it as a wide picture
_DUMB = ("dumb", "unknown")


def accept_any_text() -> None:
    """Have standard output and error write what their encoding lacks as `\\u…`, not fail on it."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def is_live(stream: TextIO) -> bool:
    """Whether a line on it can be drawn over."""
    return stream.isatty() and os.environ.get("TERM", "") not in _DUMB


def is_coloured(stream: TextIO) -> bool:
    """Whether colours are wanted on it (https://no-color.org)."""
    return is_live(stream) and not os.environ.get("NO_COLOR")


def columns(stream: TextIO) -> int:
    """How wide the terminal is now; 80 where it does not tell."""
    try:
        return os.get_terminal_size(stream.fileno()).columns or 80
    except (OSError, ValueError):
        return 80


def one_line(text: str) -> str:
    """`text` with spaces for line breaks, and escapes for what else would control a terminal."""
    return escaped(_BREAKS.sub(" ", text))


def printable(text: str) -> str:
    """`text` for print: each line clean, and those after the first one set in."""
    first, *rest = [one_line(line) for line in text.split("\n")]
    return "\n  ".join([first, *rest])


def width(text: str) -> int:
    """Columns that a line of text takes up, at most."""
    return sum(map(_width_of, text))


def fitted(text: str, room: int, encoding: str | None) -> str:
    """As much of `text` as goes into `room` columns when written in `encoding`."""
    text, cut = _encodable(one_line(text), encoding), "…"
    if width(text) <= room:
        return text
    if _encodable(cut, encoding) != cut:
        cut = "..."
    end, taken = 0, width(cut)
    for letter in text:
        taken += _width_of(letter)
        if taken > room:
            break
        end += 1
    return (text[:end] + cut)[: max(0, room)]


def print_json(value: Any, stream: TextIO) -> None:
    """One line of JSON that controls no terminal, escaped where the stream is not Unicode's."""
    unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    print(escaped(json.dumps(value, ensure_ascii=not unicode)), file=stream)


def _width_of(letter: str) -> int:
    if letter == _EMOJI_STYLE:
        return 1
    if unicodedata.category(letter) in ("Mn", "Me", "Cf") and letter != "\u00ad":
        return 0
    wide = unicodedata.east_asian_width(letter) in "WF" or ord(letter) in _EMOJI
    return 2 if wide else 1


def _encodable(text: str, encoding: str | None) -> str:
    """What `text` looks like after `accept_any_text`."""
    encoding = encoding or "utf-8"
    return text.encode(encoding, "backslashreplace").decode(encoding)
