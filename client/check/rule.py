"""What a rule of the wire is, and the two ways in which checking one ends other than well.

Knows no rule and no socket.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NoReturn

if TYPE_CHECKING:
    from .probe import Probe

Outcome = Literal["ok", "FAIL", "skipped"]


class Broken(Exception):
    """The endpoint does not keep the rule; the message says what it did instead."""


class Skipped(Exception):
    """The rule could not be checked, or is an extension that the endpoint does not offer."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One line of the suite.

    Attributes:
        number: its section in the protocol document, and its place there (`6.4`).
        title: what must be true, in a few words.
        blocks: how many blocks an endpoint makes for this rule alone; 0 where it shares a
            stream with a rule before it, or needs none.
        check: returns where the rule is kept; raises `Broken` or `Skipped`.
    """

    number: str
    title: str
    blocks: int
    check: Callable[[Probe], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Finding:
    """What came of one rule. `reason` is empty where it is kept."""

    rule: Rule
    outcome: Outcome
    reason: str = ""


def rule(
    number: str, title: str, *, blocks: int = 0
) -> Callable[[Callable[[Probe], Awaitable[None]]], Rule]:
    """Make a rule of the function that checks it."""

    def made(check: Callable[[Probe], Awaitable[None]]) -> Rule:
        return Rule(number, title, blocks, check)

    return made


def must(kept: object, otherwise: str) -> None:
    """Raises `Broken` unless the rule is `kept`."""
    if not kept:
        raise Broken(otherwise)


def not_offered(what: str) -> NoReturn:
    """Raises `Skipped`: an extension, and nothing shows that the endpoint has it."""
    raise Skipped(f"an extension that is not offered: {what}")


def needs(met: object, what: str) -> None:
    """Raises `Skipped` unless what the check stands on is there."""
    if not met:
        raise Skipped(what)
