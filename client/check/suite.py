"""The rules in their order, and a run of them against one endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from . import (
    error_rules,
    event_rules,
    frame_rules,
    opening_rules,
    params_rules,
    refusal_rules,
    steering_rules,
)
from .probe import Probe
from .rule import Broken, Finding, Rule, Skipped

RULES: tuple[Rule, ...] = (
    *opening_rules.RULES,
    *params_rules.RULES,
    *refusal_rules.RULES,
    *frame_rules.FRAME_RULES,
    *steering_rules.RULES,
    *frame_rules.COMPLETED_RULES,
    *error_rules.RULES,
    *event_rules.RULES,
)


async def run_rules(probe: Probe, only: Collection[str] = ()) -> AsyncIterator[Finding]:
    """Check the rules one after the other.

    Args:
        only: numbers of the rules to check; all of them where it is empty.
    """
    for rule in RULES:
        if not only or rule.number in only:
            yield await _check(rule, probe)


async def _check(rule: Rule, probe: Probe) -> Finding:
    try:
        await rule.check(probe)
    except Broken as error:
        return Finding(rule, "FAIL", str(error))
    except Skipped as error:
        return Finding(rule, "skipped", str(error))
    return Finding(rule, "ok")
