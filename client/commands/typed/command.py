"""`--typing`: whether lines are read while a stream runs, how, and the tasks that do it."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib.util
import os
import sys
from collections.abc import AsyncIterable, AsyncIterator
from typing import Literal

from framewire.client.commands.progress import ProgressLine
from framewire.client.commands.terminal import is_live
from framewire.client.errors import ParamsError

from .reader import PipedLines, PromptedLines
from .steering import Steering

How = Literal["prompt", "lines"] | None
_EXTRA = "pip install 'framewire[terminal]'"
_MOST_WAITING = 100


def add_typing_option(parser: argparse.ArgumentParser) -> None:
    """What goes into `framewire stream`."""
    parser.add_argument(
        "--typing",
        action=argparse.BooleanOptionalAction,
        help="steer by typed lines while it streams: a prompt, or /help (default: in a terminal, with "
        "framewire[terminal]; of a pipe each line counts)",
    )


def look_at_typing(options: argparse.Namespace) -> list[str]:
    """Put `typed`, how lines are read, into the options.

    Returns:
        What a person should know of it.

    Raises:
        ParamsError: they cannot be read.
    """
    options.typed = None
    if options.input == "-":
        if options.typing:
            raise ParamsError("--typing and --input -: standard input can be read once")
        return []
    if options.typing is False or (options.typing is None and not _is_in_front()):
        return []
    has_prompt = is_live(sys.stderr) and _is_in_front() and _has_toolkit()
    options.typed = "prompt" if has_prompt else "lines" if options.typing else None
    if has_prompt:
        return ["type a prompt to steer, /help for more"]
    if _is_in_front() and not _has_toolkit():
        return [f"for a prompt to steer at: {_EXTRA}"]
    return []


@contextlib.asynccontextmanager
async def steered_by(steering: Steering, line: ProgressLine, how: How) -> AsyncIterator[None]:
    """Read lines, and do what they say, until the stream is over."""
    if how is None:
        yield
        return
    async with contextlib.AsyncExitStack() as stack:
        while_read = contextlib.ExitStack()
        if how == "prompt":
            prompted = PromptedLines(sys.stderr, line.text, line.note)
            above = await stack.enter_async_context(prompted.above())
            while_read.enter_context(line.kept_by(prompted.redraw, above))
            while_read.callback(above.drain)
            lines: AsyncIterable[str] = prompted
        else:
            line.is_drawn = line.is_drawn and not sys.stdin.isatty()
            lines = PipedLines()
        waiting: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        tasks = [
            asyncio.create_task(_read(lines, waiting, while_read), name="read typed lines"),
            asyncio.create_task(_take(waiting, steering), name="do what was typed"),
        ]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def _read(
    lines: AsyncIterable[str], waiting: asyncio.Queue[str], while_read: contextlib.ExitStack
) -> None:
    with while_read:
        async for line in lines:
            await waiting.put(line)


async def _take(waiting: asyncio.Queue[str], steering: Steering) -> None:
    """One after the other: a file may take a while to be finished, and the prompt does not wait."""
    await steering.playing.begun.wait()
    while True:
        await steering.take(await waiting.get())


def _is_in_front() -> bool:
    """Whether a person types into our standard input: a job in the background would be stopped."""
    try:
        return sys.stdin.isatty() and os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (AttributeError, OSError, ValueError):  # no terminal, no file, no such call
        return False


def _has_toolkit() -> bool:
    return importlib.util.find_spec("prompt_toolkit") is not None
