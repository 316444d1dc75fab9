"""Settings by name, as the command line and the environment know them.

A dataclass's settings are its fields made by `setting`, with those of the dataclasses within it in
their place. Knows no setting by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import Field, fields, is_dataclass
from typing import Any, TypeVar

from .engine.setting import Setting, setting_of

T = TypeVar("T")
ENV_PREFIX = "FRAMEWIRE_"


def settings_of(kind: type) -> Iterator[tuple[Field[Any], Setting]]:
    """Every setting of a dataclass, in order."""
    for entry in fields(kind):
        inner, about = _inner(entry), setting_of(entry)
        if inner is not None:
            yield from settings_of(inner)
        elif about is not None:
            yield entry, about


def made(kind: type[T], values: Mapping[str, Any]) -> T:
    """An object of `kind`, of settings by name; what isn't there stays as by default.

    Raises:
        TypeError: a name is none of its settings.
        ValueError: a value is refused.
    """
    unknown = values.keys() - {entry.name for entry, _ in settings_of(kind)}
    if unknown:
        raise TypeError(f"{kind.__name__} has no setting {', '.join(sorted(unknown))}")
    return _made(kind, values)


def _made(kind: type[T], values: Mapping[str, Any]) -> T:
    given: dict[str, Any] = {}
    for entry in fields(kind):  # type: ignore[arg-type]
        inner = _inner(entry)
        if inner is not None:
            given[entry.name] = _made(inner, values)
        elif entry.name in values and setting_of(entry) is not None:
            given[entry.name] = values[entry.name]
    return kind(**given)


def values_of(owner: Any) -> dict[str, Any]:
    """The settings of an object by name; of a secret only whether it is set."""
    values: dict[str, Any] = {}
    for entry in fields(owner):
        value, about = getattr(owner, entry.name), setting_of(entry)
        if _inner(entry) is not None:
            values |= values_of(value)
        elif about is not None:
            values[entry.name] = ("set" if value else "not set") if about.secret else value
    return values


def from_environment(kind: type, environ: Mapping[str, str]) -> dict[str, Any]:
    """The settings that the environment names, by name; an empty variable names none.

    Raises:
        ValueError: one is not of its type; names the variable.
    """
    values: dict[str, Any] = {}
    for entry, about in settings_of(kind):
        variable = ENV_PREFIX + entry.name.upper()
        text = environ.get(variable, "")
        if not text.strip():
            continue
        try:
            values[entry.name] = reader_of(entry, about)(text)
        except ValueError:
            kind_of = type(entry.default)
            expected = "yes or no" if kind_of is bool else kind_of.__name__
            raise ValueError(f"{variable}: expected {expected}, got {text!r}") from None
    return values


def reader_of(entry: Field[Any], about: Setting) -> Callable[[str], Any]:
    """What makes a setting's value of text; it raises ValueError."""
    kind: type = type(entry.default)
    return about.read or (read_flag if kind is bool else kind)


def read_flag(text: str) -> bool:
    """A switch in words.

    Raises:
        ValueError: neither yes nor no.
    """
    if text.lower() in ("1", "true", "yes", "on"):
        return True
    if text.lower() in ("0", "false", "no", "off", ""):
        return False
    raise ValueError(f"expected yes or no, got {text!r}")


def _inner(entry: Field[Any]) -> type | None:
    """The dataclass that a field holds; None where it is a value."""
    factory: Any = entry.default_factory
    return factory if isinstance(factory, type) and is_dataclass(factory) else None
