"""`framewire-worker env`: lines that make fal's SDKs in this shell call the worker here."""

from __future__ import annotations

import argparse
import json
import os
import sys
from pathlib import Path
from typing import Any

from framewire.worker.config import Config
from framewire.worker.reachable import as_reached
from framewire.worker.settings import ENV_PREFIX, from_environment, settings_of
from framewire.worker.tls.folder import tls_folder
from framewire.worker.tls.trusted import bundle

from .reached import what_is_wrong
from .variables import NO_KEY, past_proxies, shell_lines, variables

_EPILOG = """\
    framewire-worker serve --self-signed      in one terminal
    eval "$(framewire-worker env)"            in the other, before your own program

Where a worker is meant with other settings than the defaults, give them here too, or set the same
FRAMEWIRE_ variables for both.
"""
_OPTIONS = ("host", "port", "ssl_certfile", "state_folder")
_HINTS = """\
In this shell fal's SDKs call https://{place}.
  Python      from framewire.client.fal_sdk import point_at; point_at()
              (tokens and uploads: fal_client has no variables for these)
  JavaScript  fal.config({{ proxyUrl: {{ url: process.env.FAL_PROXY_URL, when: "always" }} }})
"""


def add_command(commands: Any) -> None:
    """Add the command to the parser's subcommands."""
    env = commands.add_parser(
        "env",
        help="print what points fal's SDKs at this worker",
        description='Print what points fal\'s SDKs at this worker: eval "$(framewire-worker env)"',
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    env.add_argument("--json", action="store_true", help="as one JSON object")
    env.add_argument(
        "--show-key", action="store_true", help="with the key itself, where FRAMEWIRE_KEY has one"
    )
    env.add_argument("--host", help="as the worker's (default: 127.0.0.1)")
    env.add_argument("--port", type=int, help="as the worker's (default: 8000)")
    env.add_argument("--ssl-certfile", metavar="FILE", help="as the worker's, if not --self-signed")
    env.add_argument("--state-folder", metavar="FOLDER", help="as the worker's")
    env.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    try:
        values = _values(options)
        folder = tls_folder(values["state_folder"])
        trusted = bundle(folder, _certificate(values, folder), os.environ)
    except (ValueError, OSError) as error:
        print(f"framewire-worker env: {error}", file=sys.stderr)
        return 2
    except ModuleNotFoundError as error:
        return needs_tls_extra("env", error)
    host, port, key = as_reached(values["host"]), values["port"], values["key"]
    found = past_proxies(host, os.environ) | variables(host, port, trusted, key or NO_KEY)
    if options.json:
        if key and not options.show_key:
            del found["FAL_KEY"]
        print(json.dumps(found, indent=2))
    else:
        # By its name the shell can set the key, and nobody reads it over a shoulder.
        hidden = {} if options.show_key or not key else {"FAL_KEY": f'"${ENV_PREFIX}KEY"'}
        print(shell_lines(found, hidden), end="")
        print(_HINTS.format(place=found["FAL_RUN_HOST"]), end="", file=sys.stderr)
    if wrong := what_is_wrong(host.strip("[]"), port, trusted):
        print(f"framewire-worker env: {wrong}", file=sys.stderr)
    return 0


def _values(options: argparse.Namespace) -> dict[str, Any]:
    """The worker's settings by name. Whether it can serve with them is its own question.

    Raises:
        ValueError: the environment has one that is none, or the port cannot be known.
    """
    values: dict[str, Any] = {entry.name: entry.default for entry, _ in settings_of(Config)}
    values |= from_environment(Config, os.environ)
    given = {name: getattr(options, name) for name in _OPTIONS}
    values |= {name: value for name, value in given.items() if value is not None}
    if not 0 < values["port"] < 65536:
        raise ValueError(f"port {values['port']} is none that a worker listens at: give its --port")
    return values


def _certificate(values: dict[str, Any], folder: Path) -> Path:
    if values["ssl_certfile"]:
        return Path(values["ssl_certfile"])
    from framewire.worker.tls.self_signed import kept

    return kept(folder, values["host"]).certificate


def needs_tls_extra(command: str, error: ModuleNotFoundError) -> int:
    """Say which package lacks; returns the exit code."""
    print(
        f"framewire-worker {command} needs {error.name}: pip install 'framewire[tls]'",
        file=sys.stderr,
    )
    return 2
