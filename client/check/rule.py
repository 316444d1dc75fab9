"""What a rule of the wire is, and what came of checking one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from .probe import Probe

Outcome = Literal["ok", "FAIL", "skipped"]


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
