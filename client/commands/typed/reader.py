"""Lines of standard input: one after the other from a pipe, or edited at a prompt (prompt_toolkit).

The prompt stands below all else that is said, with the line of progress above it, and keeps the lines
of this run for the arrow keys, without what is secret in them.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import threading
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, TextIO, cast

from .line import without_secrets

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession

    from .above import Above

MARK = "> "
_MOST_BYTES = 100_000  # of a line
_CHUNK = 65536


class _Interrupted(Exception):
    """Ctrl-C came as a key."""


class PipedLines:
    """What a program, or a terminal without prompt_toolkit, writes into standard input."""

    def __init__(self) -> None:
        self._lines: asyncio.Queue[str | None] = asyncio.Queue(100)

    async def __aiter__(self) -> AsyncIterator[str]:
        loop = asyncio.get_running_loop()
        # A thread that may stay at its read: not of Python's own buffer, which exit would wait for.
        threading.Thread(target=self._read, args=(loop,), daemon=True, name="typed lines").start()
        while (line := await self._lines.get()) is not None:
            yield line

    def _read(self, loop: asyncio.AbstractEventLoop) -> None:
        rest = b""
        with contextlib.suppress(OSError, RuntimeError):  # a loop that has ended
            while data := os.read(0, _CHUNK):
                *whole, rest = (rest + data).split(b"\n")
                rest = rest[:_MOST_BYTES]
                for line in whole:
                    self._put(loop, line.decode(errors="replace"))
        with contextlib.suppress(RuntimeError):
            if rest:
                self._put(loop, rest.decode(errors="replace"))
            self._put(loop, None)

    def _put(self, loop: asyncio.AbstractEventLoop, line: str | None) -> None:
        asyncio.run_coroutine_threadsafe(self._lines.put(line), loop).result()


class PromptedLines:
    """Lines from a terminal.

    Args:
        stream: the terminal, to write to.
        progress: what stands above the prompt, fitting the width that it has then.
        say: where a line is shown again, once it was typed.
    """

    def __init__(
        self, stream: TextIO, progress: Callable[[], str], say: Callable[[str], None]
    ) -> None:
        self._stream = stream
        self._progress = progress
        self._say = say
        self._session: PromptSession[str] | None = None

    @contextlib.asynccontextmanager
    async def above(self) -> AsyncIterator[Above]:
        """What is written there, and to standard error, meanwhile stands above the prompt."""
        from prompt_toolkit import PromptSession
        from prompt_toolkit.application import create_app_session
        from prompt_toolkit.history import InMemoryHistory
        from prompt_toolkit.input import create_input
        from prompt_toolkit.output.vt100 import Vt100_Output

        from .above import Above

        class Lines(InMemoryHistory):
            def append_string(self, string: str) -> None:
                super().append_string(without_secrets(string))

        output = Vt100_Output.from_pty(self._stream)
        output.enable_cpr = False  # no answer is waited for, and the prompt stays where it is
        with create_app_session(input=create_input(sys.stdin), output=output):
            self._session = PromptSession(
                message=lambda: f"{self._progress()}\n{MARK}",
                history=Lines(),
                erase_when_done=True,
                enable_suspend=True,
                reserve_space_for_menu=0,
                interrupt_exception=_Interrupted,
            )
            above = Above(self._session, output)
            try:
                with contextlib.redirect_stderr(cast(TextIO, above)):
                    yield above
            finally:
                above.drain()

    def redraw(self) -> None:
        """The progress has changed."""
        if self._session is not None:
            self._session.app.invalidate()

    async def __aiter__(self) -> AsyncIterator[str]:
        assert self._session is not None, "inside of above()"
        while True:
            try:
                line = await self._session.prompt_async(
                    handle_sigint=False, set_exception_handler=False
                )
            except _Interrupted:
                signal.raise_signal(signal.SIGINT)
                return
            except EOFError:  # Ctrl-D
                self._say("framewire: no more is read; the stream goes on, Ctrl-C ends it")
                return
            except OSError:  # a terminal that is gone
                return
            if line.strip():
                self._say(f"{MARK}{without_secrets(line)}")
            yield line
