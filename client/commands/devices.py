"""`framewire devices`: the cameras and screens that `--input` takes on this machine."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from typing import Any

from framewire.client.live_input.sources.devices import devices

from .terminal import one_line, print_json


def add_devices_command(commands: Any) -> None:
    """`devices` and its options."""
    parser = commands.add_parser(
        "devices",
        help="list the cameras and screens of this machine",
        description="List the cameras and screens of this machine, as --input takes them. Exits "
        "with 0 where there are none.",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def run_devices(options: argparse.Namespace) -> int:
    """Print them; returns the exit code."""
    found = devices()
    if options.json:
        print_json({"devices": [asdict(one) for one in found]}, sys.stdout)
        return 0
    if not found:
        print("no camera and no screen was found on this machine")
    room = max((len(one.input) for one in found), default=0)
    for one in found:
        print(one_line(f"{one.kind}  {one.input:<{room}}  {one.name}"))
    return 0
