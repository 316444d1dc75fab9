"""`framewire-worker bench ...`: its subcommands.

Each imports what it measures only when it does, so that the other commands start as fast without.
"""

from __future__ import annotations

from typing import Any

from .engine.command import add_engine
from .front.command import add_front
from .serving.command import add_serving


def add_commands(commands: Any) -> None:
    """Add `bench` and its subcommands to the parser's `commands`; each sets `run`."""
    bench = commands.add_parser("bench", help="measure what things cost on this machine")
    benches = bench.add_subparsers(dest="bench", required=True, metavar="BENCH")
    add_serving(benches)
    add_engine(benches)
    add_front(benches)
