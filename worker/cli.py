"""`framewire-worker`: arguments to settings, and the commands that run with them."""

from __future__ import annotations

import argparse
import io
import json
import logging
import os
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import Field, replace
from typing import Any

from framewire.protocol import AppId, escaped

from .bench.command import add_commands as add_bench
from .config import Config, ConfigError
from .engine.setting import Setting
from .lifeline import hold_lifeline
from .models.command import add_commands as add_models
from .plan.command import add_command as add_plan
from .sdk_env.command import add_command as add_env
from .sdk_env.command import needs_tls_extra
from .settings import reader_of, settings_of

logger = logging.getLogger(__name__)

_SERVE_EPILOG = """\
Every option can be set in the environment as FRAMEWIRE_ and its name in capitals
(FRAMEWIRE_SECRET, FRAMEWIRE_MAX_SESSIONS, ...); the command line wins.

examples:
  framewire-worker serve                                   this machine only, no token needed
  framewire-worker serve --self-signed                     for fal's SDKs; see framewire-worker env
  FRAMEWIRE_KEY=... framewire-worker serve --host 0.0.0.0 --auth jwt
  FAL_KEY=... framewire-worker serve --fal fal-ai/krea-wan-14b
                                                           the page alone; streams come from fal
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
        print(f"framewire-worker {command}: {escaped(str(error))}", file=sys.stderr)
        return 2
    return _serve_fal(config, as_json) if config.fal else _serve(config, as_json)


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
    add_env(commands)
    add_models(commands)
    add_bench(commands)
    add_plan(commands)
    return parser


def _add_setting(serve: argparse.ArgumentParser, entry: Field[Any], about: Setting) -> None:
    """An option for one setting; what isn't given stays None, so that the environment counts."""
    option, default = f"--{entry.name.replace('_', '-')}", entry.default
    if isinstance(default, bool):
        action = argparse.BooleanOptionalAction
        serve.add_argument(option, action=action, default=None, help=about.help)
        return
    if isinstance(default, tuple):  # each time it is given is one more
        metavar = entry.name.upper()
        serve.add_argument(option, action=_Append, default=None, metavar=metavar, help=about.help)
        return
    serve.add_argument(
        option,
        type=reader_of(entry, about),
        choices=about.choices or None,
        metavar=None if about.choices else type(default).__name__.upper(),
        help=about.help + (f" (default: {default})" if default else ""),
    )


class _Append(argparse.Action):
    """Add a value to a tuple."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        """One more was given."""
        setattr(namespace, self.dest, (*(getattr(namespace, self.dest) or ()), values))


def _serve(config: Config, as_json: bool) -> int:
    try:
        from .backends import choose
        from .backends.base import KnowsItsSpeed
        from .server.app import create_app
        from .server.on_uvicorn.server import Server, bind
        from .server.page_address import page_address
        from .server.state_folder import StateFolderError

        _set_up_log(config)
    except ModuleNotFoundError as error:
        return _needs_extra(error)
    try:
        backend, why = choose(config.backend, config.model)
    except ValueError as error:
        print(f"framewire-worker serve: {escaped(str(error))}", file=sys.stderr)
        return 2
    try:
        addresses = bind(config)
    except OSError as error:
        return _cannot_listen(config, error)
    logger.info("settings: %s", json.dumps(config.shown()))
    logger.info("backend %s: %s", backend.name, why)
    self_signed = config.self_signed
    certified = _certified(config)
    if certified is None:
        return 2
    config = certified

    def listening(port: int) -> None:
        host = f"[{config.host}]" if ":" in config.host else config.host
        url = f"{'wss' if config.ssl_certfile else 'ws'}://{host}:{port}/ws"
        page = page_address(config, app.state.gate, port)
        if as_json:
            said: dict[str, Any] = {
                "url": url,
                "page": page,
                "backend": backend.name,
                "auth": config.auth,
            }
            said |= {"certificate": config.ssl_certfile} if self_signed else {}
            said |= {"speed": backend.speed()} if isinstance(backend, KnowsItsSpeed) else {}
            print(json.dumps(said), flush=True)
            return
        print(f"framewire worker ({backend.name}) at {url}; Ctrl-C drains it", flush=True)
        for line in _speed_lines(backend):
            print(line, flush=True)
        token = ", with a token for a day" if config.auth == "jwt" else ""
        print(f"direct it in a browser{token}: {page}", flush=True)
        if self_signed:
            print(f"its certificate, for clients to trust: {config.ssl_certfile}", flush=True)
            print(f'fal\'s SDKs: eval "$(framewire-worker env{_at(config, port)})"', flush=True)

    app = create_app(config, backend)
    try:
        app.state.folder.open()
    except StateFolderError as error:
        print(f"framewire-worker serve: {escaped(str(error))}", file=sys.stderr)
        return 2
    server = Server(config, app, listening)
    try:
        server.run(addresses)
    except OSError as error:  # another worker was loading too, and listened first
        return _cannot_listen(config, error)
    failed: bool = app.state.worker.mending.failed if server.started else True
    return int(failed)


def _speed_lines(backend: Any) -> Iterator[str]:
    """What became of `--speed`: what it does, what it leaves out, what it costs the picture."""
    from .backends.base import KnowsItsSpeed

    if not isinstance(backend, KnowsItsSpeed):
        return
    speed = backend.speed()
    if speed["asked"] == "faithful":
        return
    yield f"speed {speed['asked']}: {', '.join(speed['parts']) or 'as the reference'}"
    yield from (f"  without {name}: {reason}" for name, reason in speed["left_out"].items())
    yield from (f"  {name} costs: {costs}" for name, costs in speed["costs"].items())


def _serve_fal(config: Config, as_json: bool) -> int:
    """The page in front of fal; loads neither a model nor what makes pictures."""
    try:
        from .server.hosted.app import create_hosted_app
        from .server.hosted.fal import Fal
        from .server.on_uvicorn.server import Server, bind
        from .server.page_address import page_address

        _set_up_log(config)
    except ModuleNotFoundError as error:
        return _needs_extra(error)
    try:
        addresses = bind(config)
    except OSError as error:
        return _cannot_listen(config, error)
    logger.info("settings: %s", json.dumps(config.shown()))
    certified = _certified(config)
    if certified is None:
        return 2
    fal = Fal(AppId.parse(certified.fal), certified.fal_key)
    app = create_hosted_app(certified, fal)

    def listening(port: int) -> None:
        page = page_address(certified, app.state.gate, port)
        if as_json:
            said = {"page": page, "fal": str(fal.app), "socket": fal.socket_url}
            print(json.dumps(said | {"auth": certified.auth}), flush=True)
            return
        token = ", with a token for a day" if certified.auth == "jwt" else ""
        print(f"in front of {fal.app}; direct it in a browser{token}: {page}", flush=True)
        print("what is streamed is paid with FAL_KEY; Ctrl-C ends this", flush=True)

    server = Server(certified, app, listening)
    try:
        server.run(addresses)
    except OSError as error:
        return _cannot_listen(certified, error)
    return 0 if server.started else 1


def _set_up_log(config: Config) -> None:
    from .server.logs.few_lines import FewLines
    from .server.logs.plain_lines import PlainLines
    from .server.logs.redact import RedactTokens

    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(FewLines())
        handler.addFilter(RedactTokens())
        handler.addFilter(PlainLines())


def _needs_extra(error: ModuleNotFoundError) -> int:
    print(f"framewire-worker needs {error.name}: pip install 'framewire[worker]'", file=sys.stderr)
    return 2


def _certified(config: Config) -> Config | None:
    """The settings with a certificate, if one is asked for; None where that was in vain."""
    try:
        return _with_certificate(config)
    except ModuleNotFoundError as error:
        needs_tls_extra("serve --self-signed", error)
    except (ValueError, OSError) as error:
        said = escaped(str(error))
        print(f"framewire-worker serve: no certificate could be kept: {said}", file=sys.stderr)
    return None


def _with_certificate(config: Config) -> Config:
    """The settings with the files of the certificate that `self_signed` asks for.

    Raises:
        ModuleNotFoundError: cryptography is not installed.
        OSError, ValueError: its folder cannot be had.
    """
    if not config.self_signed:
        return config
    from .tls.folder import tls_folder
    from .tls.self_signed import kept

    files = kept(tls_folder(config.state_folder), config.host)
    return replace(
        config,
        self_signed=False,
        ssl_certfile=str(files.certificate),
        ssl_keyfile=str(files.key),
    )


def _at(config: Config, port: int) -> str:
    """The options that tell `env` of this worker what it would not assume."""
    default = {entry.name: entry.default for entry, _ in settings_of(Config)}
    chosen = {"host": config.host, "port": port, "state_folder": config.state_folder}
    return "".join(
        f" --{name.replace('_', '-')} {shlex.quote(str(value))}"
        for name, value in chosen.items()
        if value != default[name]
    )


def _cannot_listen(config: Config, error: OSError) -> int:
    print(
        f"framewire-worker serve: cannot listen on {config.host}:{config.port}: "
        f"{error.strerror}; choose another with --host or --port",
        file=sys.stderr,
    )
    return 2


if __name__ == "__main__":
    sys.exit(main())
