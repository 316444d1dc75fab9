"""`framewire stream --expand`: the prompt expanded before the stream, or used as it is."""

from __future__ import annotations

import argparse
import sys

from framewire.client.commands.terminal import printable
from framewire.client.credentials import expansion_from_env
from framewire.client.errors import FramewireError

from .expand import check_way, expand_prompt


def check_expansion(options: argparse.Namespace) -> None:
    """What can be told before anything is started.

    Raises:
        PromptError: there is no endpoint.
        PlaintextError: its key would go there in clear.
    """
    options.original_prompt = None
    if options.expand:
        check_way(expansion_from_env(), allow_plaintext=options.allow_plaintext)


async def expand_if_asked(options: argparse.Namespace) -> bool:
    """Put the expanded prompt in the place of the one that was typed, and keep that.

    Where it cannot be expanded, the stream shows what was typed, and a line says so.

    Returns:
        Whether there is another prompt now.
    """
    if not options.expand:
        return False
    try:
        expanded = await expand_prompt(options.prompt, allow_plaintext=options.allow_plaintext)
    except FramewireError as error:
        print(printable(f"framewire: {error}; going on with the prompt as it is"), file=sys.stderr)
        return False
    options.original_prompt, options.prompt = options.prompt, expanded
    print(printable(f"framewire: the prompt is now: {expanded}"), file=sys.stderr)
    return True
