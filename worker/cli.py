"""`framewire-worker`: arguments to settings, and the commands that run with them."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import Field
from typing import Any

from .bench.command import add_commands as add_bench
from .config import Config, ConfigError
from .engine.setting import Setting
from .lifeline import hold_lifeline
from .models.command import add_commands as add_models
from .settings import reader_of, settings_of

logger = logging.getLogger(__name__)

_SERVE_EPILOG = """\
Every option can be set in the environment as FRAMEWIRE_ and its name in capitals
(FRAMEWIRE_SECRET, FRAMEWIRE_MAX_SESSIONS, ...); the command line wins.

examples:
  framewire-worker serve                                   this machine only, no token needed
  FRAMEWIRE_KEY=... framewire-worker serve --host 0.0.0.0 --auth jwt
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    for stream in (sys.stdout, sys.stderr):  # no text that they cannot encode may end a run
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parsed = _parser().parse_args(argv)
    if parsed.run is not None:
        try:
            code: int = parsed.run(parsed)
            sys.stdout.flush()
        except BrokenPipeError:  # `| head` has read enough
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 0
        return code
    options = vars(parsed)
    if options.pop("until_stdin_ends"):
        hold_lifeline()
    command, as_json, _ = options.pop("command"), options.pop("json"), options.pop("run")
    try:
        config = Config.load(os.environ, **options)
    except ConfigError as error:
        print(f"framewire-worker {command}: {error}", file=sys.stderr)
        return 2
    return _serve(config, as_json)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="framewire-worker", description="Host steerable realtime video over a websocket."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    serve = commands.add_parser(
        "serve",
        help="serve until a signal, then drain",
        epilog=_SERVE_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    serve.set_defaults(run=None)
    serve.add_argument("--json", action="store_true", help="say where it listens as a JSON line")
    serve.add_argument(
        "--until-stdin-ends",
        action="store_true",
        help="drain when standard input ends too: with the program that holds its other end",
    )
    for entry, about in settings_of(Config):
        _add_setting(serve, entry, about)
    add_models(commands)
    add_bench(commands)
    return parser


def _add_setting(serve: argparse.ArgumentParser, entry: Field[Any], about: Setting) -> None:
    """An option for one setting; what isn't given stays None, so that the environment counts."""
    option, default = f"--{entry.name.replace('_', '-')}", entry.default
    if isinstance(default, bool):
        action = argparse.BooleanOptionalAction
        serve.add_argument(option, action=action, default=None, help=about.help)
        return
    serve.add_argument(
        option,
        type=reader_of(entry, about),
        choices=about.choices or None,
        metavar=None if about.choices else type(default).__name__.upper(),
        help=about.help + (f" (default: {default})" if default else ""),
    )


def _serve(config: Config, as_json: bool) -> int:
    try:
        from .backends import choose
        from .server.app import create_app
        from .server.logs.few_lines import FewLines
        from .server.logs.plain_lines import PlainLines
        from .server.logs.redact import RedactTokens
        from .server.on_uvicorn.server import Server, bind
        from .server.page_address import page_address
        from .server.state_folder import StateFolderError
    except ModuleNotFoundError as error:
        print(
            f"framewire-worker needs {error.name}: pip install 'framewire[worker]'", file=sys.stderr
        )
        return 2
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(FewLines())
        handler.addFilter(RedactTokens())
        handler.addFilter(PlainLines())
    try:
        backend, why = choose(config.backend, config.model)
    except ValueError as error:
        print(f"framewire-worker serve: {error}", file=sys.stderr)
        return 2
    try:
        addresses = bind(config)
    except OSError as error:
        return _cannot_listen(config, error)
    logger.info("settings: %s", json.dumps(config.shown()))
    logger.info("backend %s: %s", backend.name, why)

    def listening(port: int) -> None:
        host = f"[{config.host}]" if ":" in config.host else config.host
        url = f"{'wss' if config.ssl_certfile else 'ws'}://{host}:{port}/ws"
        page = page_address(config, app.state.gate, port)
        if as_json:
            said = {"url": url, "page": page, "backend": backend.name, "auth": config.auth}
            print(json.dumps(said), flush=True)
            return
        print(f"framewire worker ({backend.name}) at {url}; Ctrl-C drains it", flush=True)
        if config.auth == "jwt":
            print(f"for the web page, with a token for a day: {page}", flush=True)

    app = create_app(config, backend)
    try:
        app.state.folder.open()
    except StateFolderError as error:
        print(f"framewire-worker serve: {error}", file=sys.stderr)
        return 2
    server = Server(config, app, listening)
    try:
        server.run(addresses)
    except OSError as error:  # another worker was loading too, and listened first
        return _cannot_listen(config, error)
    return 0 if server.started else 1


def _cannot_listen(config: Config, error: OSError) -> int:
    print(
        f"framewire-worker serve: cannot listen on {config.host}:{config.port}: "
        f"{error.strerror}; choose another with --host or --port",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
