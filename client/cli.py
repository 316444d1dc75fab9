"""`framewire`: the command line. Owns options, help and exit codes; the work is elsewhere.

Exit codes: 0 done, 1 the stream failed, 2 wrong usage, 130 interrupted (143 by SIGTERM, 129 by
SIGHUP).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from typing import NoReturn

from framewire.protocol import MAX_SEED

from .address import parse_address, redact
from .check.command import run_check
from .commands.blend_option import parse_weighted
from .commands.devices import add_devices_command, run_devices
from .commands.doctor import run_doctor
from .commands.file_name import file_name
from .commands.input_options import KREA_FPS, add_input_options
from .commands.lora_option import PlannedStrength, parse_lora
from .commands.signals import run
from .commands.steer_plan import PlannedSteer, parse_steer
from .commands.stream import prepare, run_stream
from .commands.terminal import accept_any_text, printable
from .commands.timeline_command import add_timeline_options, run_timeline
from .commands.typed.command import add_typing_option
from .connect import resolve_credentials
from .credentials import fal_run_host
from .errors import (
    AuthError,
    FramewireError,
    InputError,
    ParamsError,
    PlaintextError,
    PromptError,
    SaveError,
    TimelineError,
)
from .live_output.sink import LATENCY
from .prompts.command import add_prompt_command, run_prompt
from .savers.pipes.forms import FORMS
from .tokens import token_source

_STREAM_EPILOG = """\
without --url and --fal a worker is started on this machine and stopped afterwards.

--steer says when, then the prompt: 2.5s=PROMPT (seconds of the video), 30f=PROMPT (from frame
30 on) or 4b=PROMPT (from block 4 on; exact on framewire workers).

what --out names is replaced once its successor is done: until then x.mp4 is written as x.part.mp4,
which stays only where the program is killed. an error or ctrl-c ends a file, which is then what had
arrived. in a folder the frames of an earlier stream (frame_000000.jpg and so on) are deleted when the
first new one is there; other files stay. no output may be a file that is read.

examples:
  framewire stream "a lighthouse at dawn" --out dawn.mp4 --steer "4b=the lighthouse in a storm"
  framewire stream "a red fox" --blend "a robot of copper=0.5" --out mixed.mp4
  FAL_KEY=... framewire stream "a red fox" --fal fal-ai/krea-wan-14b --blocks 9 --out fox/
  framewire stream "a red fox" --out - | ffplay -f mjpeg -i -
  framewire stream "a red fox" --size 832x480 --out - --format raw |
    ffmpeg -f rawvideo -pixel_format rgb24 -video_size 832x480 -framerate 16 -i - fox.mkv
  framewire stream "an oil painting" --input clip.mp4 --strength 0.7 --out painted.mp4
  framewire stream "an oil painting" --input rtsp://camera/stream --mirror --out painted.mp4

--input gives every frame of the clip a frame of the result, in order, at the clip's rate. models
that withhold the frames of their first pictures (Krea's: 3) are sent the clip's first frame three
times more; what was made from those, and from the last block's padding, is left out. pictures that
cannot be used are named and left out, damaged packets of a video are skipped.

of what is live (a camera, a screen, a URL, a pipe) pictures are sent as they come, of those that wait
the newest. what goes away is opened again, for five minutes. what a URL names as a file is a clip.

a name is a file's, whatever is in it, but for the words of --input: webcam, screen, testsrc, - and
URLs. a file that is called so is ./webcam or ./-. in a folder numbers in names count as numbers (2
before 10), and hidden files are no pictures.

in a terminal a typed line is the next prompt, and /help lists what else can be typed. lines come from
a pipe with --typing.

live outputs (rtmp, udp, HLS) run at the clock of --fps: where no new frame is there the last one is
sent again. one that fails or stands still is opened again, and holds up neither stream nor files.

--out - into a pipe has each frame once, and whoever reads sets the pace. of a live --input it is a live
output as well, but not opened again: once its reader has gone it ends, and the rest goes on.
"""
_CHECK_EPILOG = """\
one line a rule, numbered as in the protocol document: ok, FAIL or skipped and why. Exits with 1
where a rule is broken. Streams are few and small (fal's: of the app's own size, about 30 blocks).
what is an extension of framewire's is skipped where an endpoint does not offer it.

examples:
  framewire check ws://127.0.0.1:8000/ws
  FAL_KEY=... framewire check --fal fal-ai/krea-wan-14b
"""
_FILE_OPTIONS = (
    "--input",
    "--timeline",
    "--save-timeline",
    "--start-frame",
    "--out",
    "--contact-sheet",
)
_KEYS_HELP = (
    "the environment is asked for what is not given: FAL_KEY (or FAL_KEY_ID and FAL_KEY_SECRET, "
    "or FAL_API_KEY) for fal; FRAMEWIRE_TOKEN, FRAMEWIRE_KEY or FRAMEWIRE_SECRET for workers"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    accept_any_text()
    options = _parser().parse_args(_joined(sys.argv[1:] if argv is None else argv))
    try:
        if options.command == "timeline":
            return run_timeline(options)
        if options.command == "devices":
            return run_devices(options)
        if options.command == "stream":
            return run(run_stream(options, prepare(options)))
        commands = {
            "token": _run_token,
            "prompt": run_prompt,
            "check": run_check,
            "doctor": run_doctor,
        }
        return run(commands[options.command](options))
    except (
        InputError,
        ParamsError,
        PlaintextError,
        PromptError,
        SaveError,
        TimelineError,
    ) as error:
        print(printable(f"framewire stream: {error}"), file=sys.stderr)
        return 2
    except KeyboardInterrupt:  # before anything was started
        return 130
    except BrokenPipeError:  # whoever read what is printed has left; Python would try again at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


async def _run_token(options: argparse.Namespace) -> int:
    """`framewire token`: mint one and print it."""
    target = options.url or options.fal or "ws://127.0.0.1:8000/ws"
    try:
        address = parse_address(target, run_host=fal_run_host(), token_url=options.token_url)
        credentials = resolve_credentials(
            address, key=options.key, token=None, secret=options.secret
        )
        if credentials.key is None and credentials.secret is None:
            raise AuthError(
                "nothing to mint with", hint="give --key or --secret, or set FRAMEWIRE_KEY"
            )
        tokens = token_source(
            address,
            credentials,
            expiration=options.expires,
            allow_plaintext=options.allow_plaintext,
        )
        token = await tokens.get()
    except FramewireError as error:
        print(printable(f"framewire token: {error}"), file=sys.stderr)
        return 1
    print(token)
    return 0


class _Parser(argparse.ArgumentParser):
    """Quotes no password of a URL that it does not understand."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(redact(message)))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="framewire", description="Stream steerable, generated video over one WebSocket."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    raw = argparse.RawDescriptionHelpFormatter
    stream = commands.add_parser(
        "stream", help="stream a prompt and save it", epilog=_STREAM_EPILOG, formatter_class=raw
    )
    _add_stream_options(stream)
    add_prompt_command(commands)
    add_devices_command(commands)
    token = commands.add_parser("token", help="mint a token and print it", epilog=_KEYS_HELP)
    _add_where(token)
    token.add_argument(
        "--expires", type=int, default=3600, metavar="S", help="seconds it lives (default: 3600)"
    )
    doctor = commands.add_parser(
        "doctor", help="find the step at which a stream fails", epilog=_KEYS_HELP
    )
    _add_where(doctor)
    doctor.add_argument(
        "--timeout", type=_seconds, default=60.0, metavar="S", help="for each step (default: 60)"
    )
    doctor.add_argument("--json", action="store_true", help="print one JSON object")
    add_timeline_options(
        commands.add_parser("timeline", help="look at a file of prompts over time")
    )
    _add_check_options(
        commands.add_parser(
            "check",
            help="check that an endpoint keeps the rules of the wire",
            epilog=_CHECK_EPILOG,
            formatter_class=raw,
        )
    )
    return parser


def _add_check_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("where", nargs="?", metavar="URL", help="such as ws://127.0.0.1:8000/ws")
    _add_where(parser)
    parser.add_argument(
        "--rule", action="append", default=[], metavar="N", help="only this one; may be repeated"
    )
    parser.add_argument("--size", type=_size, metavar="WxH", help="of the streams it asks for")
    parser.add_argument("--json", action="store_true", help="print one JSON object")


def _add_where(parser: argparse.ArgumentParser) -> None:
    where = parser.add_mutually_exclusive_group()
    where.add_argument("--url", help="a worker, such as ws://127.0.0.1:8000/ws or gpu:8000")
    where.add_argument("--fal", metavar="APP", help="an app on fal, such as fal-ai/krea-wan-14b")
    keys = parser.add_mutually_exclusive_group()
    keys.add_argument("--key", help="becomes a token at /tokens/; better set in the environment")
    keys.add_argument("--secret", help="shared with the worker: tokens are minted here")
    if not parser.prog.endswith("token"):
        keys.add_argument("--token", help="a ready-made token")
    parser.add_argument("--token-url", metavar="URL", help="where keys become tokens")
    parser.add_argument(
        "--allow-plaintext",
        action="store_true",
        help="send a key or token to another machine without TLS, where others can read it",
    )


def _add_stream_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("prompt", metavar="PROMPT", nargs="?")
    parser.add_argument(
        "--timeline",
        type=file_name,
        metavar="FILE",
        help="prompts over time instead of a PROMPT: a Scope timeline or workflow, prompts by frame "
        "or a prompt list; --seed and --size override it",
    )
    parser.add_argument(
        "--save-timeline",
        type=file_name,
        metavar="FILE",
        help="keep the session: params, seed and every change with its block, so that --timeline "
        "FILE makes the same frames again",
    )
    parser.add_argument("--loop", action="store_true", help="begin the timeline anew at its end")
    parser.add_argument("--frames", type=_count, metavar="N", help="the most that are shown")
    _add_where(parser)
    _add_outputs(parser)
    parser.add_argument("--blocks", type=int, metavar="N", help="how many blocks")
    parser.add_argument("--seed", type=int, metavar="S", help=f"0 to {MAX_SEED}")
    parser.add_argument(
        "--size",
        type=_size,
        metavar="WxH",
        help="such as 832x480 (default: the model's; with --input 832x480, 480x832 or 640x640, "
        "after its shape)",
    )
    parser.add_argument("--steps", type=int, metavar="N", help="denoising steps, 1 to 8")
    _add_what_is_shown(parser)
    parser.add_argument(
        "--start-frame", type=file_name, metavar="IMG", help="a picture to start from"
    )
    parser.add_argument(
        "--fps",
        type=_rate,
        metavar="N",
        help=f"frames a second of the video (default: the input's, or {KREA_FPS:g})",
    )
    add_input_options(parser)
    add_typing_option(parser)
    parser.add_argument(
        "--reconnect",
        action=argparse.BooleanOptionalAction,
        help="go on over another connection when one is lost in mid stream (default: with --url "
        "and --fal)",
    )
    parser.add_argument(
        "--plain",
        action="store_true",
        help="ask for bare JPEGs without events, as the hosted endpoint sends anyway",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")


def _add_outputs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--out",
        action="append",
        default=[],
        metavar="FILE|DIR/|SINK",
        help="x.mp4, x.webm, x.mov or x.mkv a video, x.gif an animation, x/ a folder of JPEGs, "
        "x.png a contact sheet, - or a device frames for a pipe (see --format); or live: "
        "rtmp://host/app/key, udp://host:port, x/index.m3u8 (HLS for browsers); may be repeated",
    )
    parser.add_argument(
        "--format",
        choices=FORMS,
        help="what --out - writes: JPEG after JPEG (the default), or bare pixels, raw being rgb24, "
        "whose size is said on stderr",
    )
    parser.add_argument(
        "--latency",
        type=_seconds,
        metavar="S",
        help="the most seconds that live outputs may be behind; older frames are left out "
        f"(default: {LATENCY:g})",
    )
    parser.add_argument(
        "--contact-sheet", type=file_name, metavar="FILE", help="the same as --out FILE.png"
    )


def _add_what_is_shown(parser: argparse.ArgumentParser) -> None:
    """Prompts and adapters, at the start and from block to block."""
    parser.add_argument(
        "--steer",
        action="append",
        default=[],
        type=_steer,
        metavar="WHEN=PROMPT",
        help="change the prompt while it streams; may be repeated",
    )
    parser.add_argument(
        "--blend",
        action="append",
        default=[],
        type=_weighted,
        metavar="TEXT=WEIGHT",
        help="show this too, where PROMPT weighs 1; may be repeated (servers that cannot blend "
        "show the heaviest alone)",
    )
    parser.add_argument(
        "--lora",
        action="append",
        default=[],
        type=_lora,
        metavar="[WHEN:]NAME=STRENGTH",
        help="how strong an adapter of the worker's is, 0 to 2, such as gold=0.8, or from block 4 on "
        "4b:gold=0.8; may be repeated (workers without adapters ignore it)",
    )
    parser.add_argument(
        "--prompt-switch",
        choices=("blend", "flush", "recache"),
        help="at a new prompt let what is remembered of the old one fade, drop it, or have it made "
        "anew, where the worker allows it (default: as the worker does)",
    )
    parser.add_argument(
        "--mid-block-prompts",
        action="store_true",
        help="let a new prompt into the block that is being made, where the worker can: it shows "
        "up to a block sooner, but no two runs are the same, so not with --save-timeline",
    )
    parser.add_argument(
        "--expand",
        action="store_true",
        help="have PROMPT made longer first (see framewire prompt expand --help); where that fails "
        "it is used as it is",
    )


def _joined(argv: Sequence[str]) -> list[str]:
    """`--input -x.mp4` as `--input=-x.mp4`, for argparse would take the file for an option."""
    found: list[str] = []
    for argument in argv:
        is_file = argument.startswith("-") and not argument.startswith("--") and argument != "-h"
        if is_file and found and found[-1] in _FILE_OPTIONS:
            found[-1] += f"={argument}"
        else:
            found.append(argument)
    return found


def _count(text: str) -> int:
    if not (text.isascii() and text.isdecimal()) or not 0 < int(text[:20]) < 10**9:
        raise argparse.ArgumentTypeError(f"{text!r}: a whole number, more than 0")
    return int(text)


def _size(text: str) -> tuple[int, int]:
    width, times, height = text.lower().partition("x")
    if not times or not width.isdecimal() or not height.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r}: expected WxH, such as 832x480")
    return int(width), int(height)


def _steer(text: str) -> PlannedSteer:
    try:
        return parse_steer(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _lora(text: str) -> PlannedStrength:
    try:
        return parse_lora(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _weighted(text: str) -> tuple[str, float]:
    try:
        return parse_weighted(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r}: more than 0, at most 3600")
    return seconds


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate <= 1000:
        raise argparse.ArgumentTypeError(f"{text!r}: more than 0, at most 1000")
    return rate


if __name__ == "__main__":
    sys.exit(main())
