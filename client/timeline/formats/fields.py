"""Values of a file, each read with what it has to be: who reads says no more than that.

What is wrong is said with the place of it in the file. What nobody has read is known as well.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from framewire.client.errors import TimelineError

_WORD_BEGINS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_MOST_LETTERS = 60


def snake(name: str) -> str:
    """`startTime` as `start_time`: Scope's files have both."""
    return _WORD_BEGINS.sub("_", name).lower()


def kind_of(value: Any) -> str:
    """What a JSON value is, for a person."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case str():
            return f"the text {_cut(value)!r}"
        case int() | float():
            return f"the number {_cut(repr(value))}"
        case list():
            return "a list"
    return "an object"


def wrong(where: str, what: str, right: str) -> TimelineError:
    """The error for a value that is not what it has to be."""
    return TimelineError(f"{where}: {what}; {right}")


class Fields:
    """An object of a file, its keys in snake case.

    Args:
        where: its place in the file, such as `prompts[2]`; empty at the top.

    Raises:
        TimelineError: it is no object.
    """

    def __init__(self, value: Any, where: str) -> None:
        self.where = where
        if not isinstance(value, dict):
            raise wrong(where or "the file", f"is {kind_of(value)}", "expected an object {...}")
        self._names = {snake(str(key)): str(key) for key in value}
        self._values = {snake(str(key)): each for key, each in value.items()}
        self._read: set[str] = set()

    def place(self, key: str) -> str:
        """Of a value, as the file calls it."""
        name = self._names.get(key, key)
        return f"{self.where}.{name}" if self.where else name

    def has(self, key: str) -> bool:
        """Whether there is such a value that is not null. It counts as read."""
        return self.get(key) is not None

    def get(self, key: str) -> Any:
        """A value as it is; None where there is none."""
        self._read.add(key)
        return self._values.get(key)

    def number(self, key: str, least: float, most: float) -> float:
        """A number within bounds."""
        return number(self.get(key), self.place(key), least, most)

    def whole(self, key: str, least: int, most: int) -> int:
        """A number without a fraction, within bounds."""
        found = self.number(key, least, most)
        if not float(found).is_integer():
            raise wrong(self.place(key), f"is {found:g}", "expected a whole number")
        return int(found)

    def text(self, key: str) -> str:
        """A text."""
        value = self.get(key)
        if not isinstance(value, str):
            raise wrong(self.place(key), f"is {kind_of(value)}", "expected a text")
        return value

    def flag(self, key: str) -> bool:
        """True or false."""
        value = self.get(key)
        if not isinstance(value, bool):
            raise wrong(self.place(key), f"is {kind_of(value)}", "expected true or false")
        return value

    def items(self, key: str) -> list[Any]:
        """A list."""
        value = self.get(key)
        if not isinstance(value, list):
            raise wrong(self.place(key), f"is {kind_of(value)}", "expected a list [...]")
        return value

    def fields(self, key: str) -> Fields:
        """An object within this one."""
        return Fields(self.get(key), self.place(key))

    def one_of(self, key: str, choices: Iterable[str]) -> str:
        """One of some texts."""
        found, choices = self.text(key), tuple(choices)
        if found not in choices:
            raise wrong(self.place(key), f"is {kind_of(found)}", f"expected {' or '.join(choices)}")
        return found

    def unread(self) -> list[tuple[str, Any]]:
        """What nobody has asked for and is not null: key in snake case, and value."""
        left = self._values.items()
        return [(key, value) for key, value in left if key not in self._read and value is not None]


def number(value: Any, where: str, least: float, most: float) -> float:
    """A finite number within bounds."""
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise wrong(where, f"is {kind_of(value)}", "expected a number")
    if isinstance(value, float) and not math.isfinite(value):
        raise wrong(where, f"is {value}", "expected a finite number")
    if not least <= value <= most:
        raise wrong(where, f"is {_cut(repr(value))}", f"expected {least:g} to {most:g}")
    return value


def _cut(text: str) -> str:
    return text if len(text) <= _MOST_LETTERS else text[: _MOST_LETTERS - 1] + "…"
