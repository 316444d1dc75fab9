"""A timeline as a picture of characters: what is shown when, and where the blocks begin.

Plain letters, so that it reads without colours and in any encoding. Knows no terminal.
"""

from __future__ import annotations

from string import ascii_uppercase

from framewire.protocol.steering import BlockShape

from .landing import Landing, landings
from .model import RATE
from .moves import Part, shown_frames

_COLOURS = (44, 42, 45, 46, 43, 41)  # backgrounds; black text reads on each of them
_TAIL = 24
"""Frames that are drawn of what has no end."""
_LEAST, _MOST = 10, 160


def picture_of(parts: list[Part], shape: BlockShape, columns: int, *, colour: bool) -> list[str]:
    """Three rows: seconds, entries by their letters (small while they take over), block starts.

    Args:
        columns: how many characters a row may have.
        colour: paint the entries with a terminal's backgrounds.
    """
    found = landings(parts, shape)
    total = shown_frames(parts) or found[-1].begins + _TAIL
    room = max(_LEAST, min(columns, _MOST, total))
    at = [total * column // room for column in range(room)]
    letters = [_letter(found, frame, shape) for frame in at]
    return [
        _seconds(total, room),
        _painted(letters) if colour else "".join(letter for letter, _ in letters),
        _starts(parts, shape, at, total),
    ]


def letter_of(index: int) -> str:
    """By which an entry is known in the picture."""
    return ascii_uppercase[index % len(ascii_uppercase)]


def _letter(found: list[Landing], frame: int, shape: BlockShape) -> tuple[str, int]:
    """The letter at a frame, small while it takes over, and the number of the entry."""
    index = max(index for index, one in enumerate(found) if one.begins <= frame)
    landing = found[index]
    steps = landing.values.get("interp_steps") or 1
    over = landing.begins + shape.later * (steps - 1)
    taking_over = not landing.starts and steps > 1 and frame < over
    letter = letter_of(index)
    return (letter.lower() if taking_over else letter), index


def _painted(letters: list[tuple[str, int]]) -> str:
    cells = (f"\x1b[30;{_COLOURS[index % len(_COLOURS)]}m{letter}" for letter, index in letters)
    return "".join(cells) + "\x1b[0m"


def _seconds(total: int, room: int) -> str:
    """Whole seconds over the columns in which they begin, as many as have room."""
    row = [" "] * room
    taken = -1
    for second in range(int(total / RATE) + 1):
        label, column = f"{second}s", int(second * RATE) * room // total
        if column > taken and column + len(label) <= room:
            row[column : column + len(label)] = label
            taken = column + len(label)
    return "".join(row).rstrip()


def _starts(parts: list[Part], shape: BlockShape, at: list[int], total: int) -> str:
    """A bar where a block begins, `!` where a stream does; blank where each column has several."""
    begins: set[int] = set()
    resets: set[int] = set()
    before = 0
    for part in parts:
        frames = part.frames if part.frames is not None else total - before
        resets.add(before)
        for block in range(min(shape.blocks_for(frames), total)):
            first = shape.frames(block)
            begins.add(before + first + sum(n for place, n in part.holds if place <= first))
        before += frames + sum(count for _, count in part.holds)
    if len(begins) > len(at) // 2:
        begins = set()
    row = []
    for column, frame in enumerate(at):
        until = at[column + 1] if column + 1 < len(at) else total
        here = range(frame, until)
        is_reset = frame and any(one in resets for one in here)
        row.append("!" if is_reset else "|" if any(one in begins for one in here) else "-")
    return "".join(row)
