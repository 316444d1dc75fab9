"""The two ways in which checking a rule ends other than well, and how a rule says so."""

from __future__ import annotations

from typing import NoReturn


class Broken(Exception):
    """The endpoint does not keep the rule; the message says what it did instead."""


class Skipped(Exception):
    """The rule could not be checked, or is an extension that the endpoint does not offer."""


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
