"""`framewire-worker`: arguments to settings, and the commands that run with them."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from dataclasses import fields
from typing import get_args

from .bench.command import add_commands as add_bench
from .config import AuthMode, Config, ConfigError, parser_of
from .models.command import add_commands as add_models
from .models.setup import DecoderName

logger = logging.getLogger(__name__)

_SERVE_EPILOG = """\
Every option can be set in the environment as FRAMEWIRE_ and its name in capitals
(FRAMEWIRE_SECRET, FRAMEWIRE_MAX_SESSIONS, ...); the command line wins.

examples:
  framewire-worker serve                                   this machine only, no token needed
  FRAMEWIRE_KEY=... framewire-worker serve --host 0.0.0.0 --auth jwt
"""
_HELP: dict[str, str] = {
    "backend": "what makes the pictures: auto, testcard, tiny or wan",
    "preset": "the model that wan runs; framewire-worker models lists them",
    "device": "auto, or as torch calls it, such as cuda:1",
    "dtype": "of the transformer: auto, bfloat16, float16 or float32",
    "decoder": "latents to pictures: the model's own, or TAEHV, softer and 25 times less work",
    "attention": "auto for the best kernel proven here, sdpa, cudnn, flash3, flash2 or sage",
    "compile": "compile the transformer's blocks",
    "fp8": "multiply in 8 bits (Ada, Hopper and later; needs torchao)",
    "fuse_qkv": "project queries, keys and values in one product",
    "cuda_graph": "record a block's work once and replay it",
    "skip_zero": "leave out the pass at timestep 0",
    "context_every": "compute the context anew before every n-th block only",
    "sink_frames": "first latent frames that stay in the context for ever; else as many as the preset says",
    "batch_steps": "denoise live input a step a lane in one batch: more frames, each of them later",
    "warm_sizes": "sizes to warm up, such as 832x480,480x832; else the preset's",
    "warm_on_demand": "compile other sizes when they first come, while others wait",
    "host": "address to bind; anything but loopback needs --auth",
    "port": "port to bind; 0 takes a free one",
    "max_sessions": "streams at once; auto: as many as memory has room for",
    "queue": "streams that may wait for a place",
    "max_connections": "websockets at once",
    "auth": "who may connect: none (loopback only), jwt, or platform (a gateway has checked)",
    "secret": "signs and verifies tokens; better set as FRAMEWIRE_SECRET",
    "key": "what POST /tokens/ asks for; better set as FRAMEWIRE_KEY",
    "alias": "the app that tokens must allow and that /OWNER/ALIAS/ws names",
    "origins": "browser origins that may connect, comma-separated",
    "token_expiration": "seconds that tokens of POST /api/fal live",
    "grace": "seconds that a drain may take",
    "ready_timeout": "seconds for params (or live pictures) to arrive",
    "stall_timeout": "seconds a viewer may go without reading",
    "idle_timeout": "seconds a completed session stays open",
    "session_timeout": "seconds a session may last",
    "queue_timeout": "seconds to wait for a place without events",
    "block_timeout": "seconds one backend call may take",
    "input_patience": "seconds after which live input repeats its newest picture",
    "clip_life": "seconds a finished clip can be fetched",
    "clip_megabytes": "megabytes of finished clips that are kept",
    "video_hosts": "hosts a video_url may name, comma-separated; none are fetched from otherwise",
    "video_megabytes": "megabytes that an input video may have",
    "expansion_url": "OpenAI-compatible base URL that expands prompts, such as http://HOST/v1",
    "expansion_key": "its key; better set as FRAMEWIRE_EXPANSION_KEY",
    "expansion_model": "the model to ask there",
    "jpeg_quality": "quality of the frames, 1 to 100",
    "codec_threads": "threads that encode and decode pictures",
    "ssl_keyfile": "TLS key",
    "ssl_certfile": "TLS certificate",
    "log_level": "debug, info, warning or error",
}


_CHOICES = {"auth": get_args(AuthMode), "decoder": get_args(DecoderName)}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
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
    for entry in fields(Config):
        _add_setting(serve, entry.name, entry.default)
    add_models(commands)
    add_bench(commands)
    return parser


def _add_setting(serve: argparse.ArgumentParser, name: str, default: object) -> None:
    """An option for one setting; what isn't given stays None, so that the environment counts."""
    option, kind = f"--{name.replace('_', '-')}", type(default)
    if kind is bool:
        action = argparse.BooleanOptionalAction
        serve.add_argument(option, action=action, default=None, help=_HELP[name])
        return
    choices = _CHOICES.get(name)
    serve.add_argument(
        option,
        type=parser_of(name, kind),
        choices=choices,
        metavar=None if choices else kind.__name__.upper(),
        help=_HELP[name] + (f" (default: {default})" if default else ""),
    )


def _serve(config: Config, as_json: bool) -> int:
    try:
        from .backends import choose
        from .server.app import create_app
        from .server.uvicorn_server import RedactTokens, Server, bind
    except ModuleNotFoundError as error:
        print(
            f"framewire-worker needs {error.name}: pip install 'framewire[worker]'", file=sys.stderr
        )
        return 2
    logging.basicConfig(
        level=config.log_level.upper(), format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    for handler in logging.getLogger().handlers:
        handler.addFilter(RedactTokens())
    try:
        backend, why = choose(config.backend, config.model_setup())
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
        if as_json:
            print(
                json.dumps({"url": url, "backend": backend.name, "auth": config.auth}), flush=True
            )
        else:
            print(f"framewire worker ({backend.name}) at {url}; Ctrl-C drains it", flush=True)

    server = Server(config, create_app(config, backend), listening)
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
