"""Text from a peer, before it is printed or logged."""

import sys
import unicodedata

from framewire.protocol import escaped

BIDI = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def test_every_character_that_controls_a_terminal_or_a_line_is_escaped() -> None:
    """By Unicode's own tables, over all of it: controls, separators of lines, overrides."""
    for code in range(sys.maxunicode + 1):
        letter = chr(code)
        controls = (
            unicodedata.category(letter) in ("Cc", "Zl", "Zp", "Cs")
            or unicodedata.bidirectional(letter) in BIDI
            or code in (0x200E, 0x200F, 0x061C)
        )
        if controls:
            assert escaped(letter).isascii() and escaped(letter).isprintable(), hex(code)
        else:
            assert escaped(letter) == letter


def test_escapes_tell_what_was_there() -> None:
    assert escaped("a\x1b[2J\r\nb\u202e\x9b") == r"a\u001b[2J\r\nb\u202e\u009b"
