"""A field that can be set from outside: its help text and its check stand with its default."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import Field, dataclass, field, fields
from typing import Any, TypeVar

T = TypeVar("T")
_KEY = "setting"


@dataclass(frozen=True, slots=True)
class Setting:
    """What is known of a field beside its name and default.

    Attributes:
        help: a line for the command line.
        least: the smallest number that means something; `most` the greatest.
        choices: all that it may be, where these are words.
        read: makes a value of text, where its type alone cannot.
        secret: never shown.
    """

    help: str
    least: float | None = None
    most: float | None = None
    choices: Sequence[str] = ()
    read: Callable[[str], Any] | None = None
    secret: bool = False


def setting(default: T, help: str, **rest: Any) -> T:
    """A dataclass field with its `Setting`, whose other attributes are in `rest`."""
    about = Setting(help, **rest)
    made: T = field(default=default, repr=not about.secret, metadata={_KEY: about})
    return made


def setting_of(entry: Field[Any]) -> Setting | None:
    """What is known of a field; None where it cannot be set from outside."""
    return entry.metadata.get(_KEY)


def check_settings(owner: Any) -> None:
    """Refuse values that a dataclass's own fields do not allow.

    Raises:
        ValueError: says which field, and what would be right.
    """
    for entry in fields(owner):
        about, value = setting_of(entry), getattr(owner, entry.name)
        if about is None:
            continue
        if about.choices and value not in about.choices:
            raise ValueError(f"{entry.name} {value!r}: choose one of {', '.join(about.choices)}")
        if about.least is not None and value < about.least:
            raise ValueError(f"{entry.name} must be at least {about.least}, not {value}")
        if about.most is not None and value > about.most:
            raise ValueError(f"{entry.name} must be at most {about.most}, not {value}")
