"""What processes that this one starts are given: the same Python, and none of its secrets."""

from __future__ import annotations

import contextlib
import os
import sys
import threading
from collections.abc import Callable

_SECRETS = ("FRAMEWIRE_", "FAL_", "HF_", "AWS_")
"""How variables begin that a child has no use for."""


def environment() -> dict[str, str]:
    """Of a child that runs the same Python with the same packages."""
    found = {name: value for name, value in os.environ.items() if not name.startswith(_SECRETS)}
    return found | {"PYTHONPATH": os.pathsep.join(entry for entry in sys.path if entry)}


def end_with_parent(end: Callable[[], object]) -> None:
    """In a child: call `end` once its parent, which never writes to its input, is gone."""

    def watch() -> None:
        with contextlib.suppress(OSError):
            while os.read(sys.stdin.fileno(), 4096):
                pass
        end()

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
