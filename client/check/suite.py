"""The rules in their order, and a run of them against one endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection

from .probe import Probe
from .rule import Finding, Rule
from .rules import errors, events, frames, opening, params, refusals, steering
from .verdict import Broken, Skipped

RULES: tuple[Rule, ...] = (
    *opening.RULES,
    *params.RULES,
    *refusals.RULES,
    *frames.FRAME_RULES,
    *steering.RULES,
    *frames.COMPLETED_RULES,
    *errors.RULES,
    *events.RULES,
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
