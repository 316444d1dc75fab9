"""`framewire prompt`: expand one, or print some to begin with."""

from __future__ import annotations

import argparse
import sys
from typing import Any

from framewire.client.commands.terminal import one_line, print_json, printable
from framewire.client.errors import FramewireError
from framewire.protocol.prompts.examples import EXAMPLE_PROMPTS

from .expand import expand_prompt

_EXPAND_EPILOG = """\
asks the OpenAI-compatible endpoint that the environment names: FRAMEWIRE_EXPANSION_URL (such as
http://127.0.0.1:11434/v1), FRAMEWIRE_EXPANSION_MODEL and, where it needs one, FRAMEWIRE_EXPANSION_KEY.
the key goes there and nowhere else, to another machine only with TLS, and is never shown.

examples:
  framewire prompt expand "a fox in the snow"
  framewire stream "a fox in the snow" --expand --out fox.mp4
"""


def add_prompt_command(commands: Any) -> None:
    """Add `prompt` to the parser's subcommands."""
    prompt = commands.add_parser("prompt", help="expand a prompt, or print some to begin with")
    kinds = prompt.add_subparsers(dest="prompt_command", required=True, metavar="COMMAND")
    expand = kinds.add_parser(
        "expand",
        help="add subject, setting, motion and camera to a short prompt",
        epilog=_EXPAND_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    expand.add_argument("prompt", metavar="PROMPT")
    expand.add_argument(
        "--allow-plaintext",
        action="store_true",
        help="send the key to another machine without TLS, where others can read it",
    )
    expand.add_argument("--json", action="store_true", help="print one JSON object")
    examples = kinds.add_parser("examples", help="print prompts that suit the models")
    examples.add_argument(
        "--preset", choices=sorted(EXAMPLE_PROMPTS), help="for this model alone, a line a prompt"
    )
    examples.add_argument("--json", action="store_true", help="print one JSON object")


async def run_prompt(options: argparse.Namespace) -> int:
    """Returns the exit code: 1 where there is no prompt, 2 for one that is blank."""
    if options.prompt_command == "examples":
        _print_examples(options)
        return 0
    if not options.prompt.strip():
        print("framewire prompt expand: the prompt is blank", file=sys.stderr)
        return 2
    expanded, failure = None, None
    try:
        expanded = await expand_prompt(options.prompt, allow_plaintext=options.allow_plaintext)
    except FramewireError as error:
        failure = error
        print(printable(f"framewire prompt expand: {error}"), file=sys.stderr)
    if options.json:
        said = failure and {"code": failure.code, "reason": failure.reason, "hint": failure.hint}
        found = {"prompt": expanded, "original": options.prompt, "error": said}
        print_json(found, sys.stdout)
    elif expanded is not None:
        print(one_line(expanded))
    return 0 if failure is None else 1


def _print_examples(options: argparse.Namespace) -> None:
    chosen = (
        {options.preset: EXAMPLE_PROMPTS[options.preset]} if options.preset else EXAMPLE_PROMPTS
    )
    if options.json:
        print_json({preset: list(prompts) for preset, prompts in chosen.items()}, sys.stdout)
        return
    for number, (preset, prompts) in enumerate(chosen.items()):
        if not options.preset:
            print(f"{'' if not number else chr(10)}{preset}")
        for prompt in prompts:
            print(prompt if options.preset else f"  {prompt}")
