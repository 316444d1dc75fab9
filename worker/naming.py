"""A worker's name in the ids that it gives out, by which a balancer leads callers back to it."""

from __future__ import annotations

import re

_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9.-]+")
_NAME_CHARS = 63


def name_in_ids(worker: str) -> str:
    """A worker's name with what an URL and a balancer's rule take without quoting."""
    return _NOT_IN_NAMES.sub("-", worker).strip("-.")[:_NAME_CHARS] or "worker"
