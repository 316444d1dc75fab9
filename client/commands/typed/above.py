"""A stream whose lines stand above the prompt, whether or not that is on the screen at the moment.

prompt_toolkit's own `patch_stdout` writes in a thread, which meets the drawing of the next prompt.
"""

from __future__ import annotations

import asyncio
import contextvars
import io
import threading
from typing import TYPE_CHECKING, Any

from prompt_toolkit.application import run_in_terminal

if TYPE_CHECKING:
    from prompt_toolkit import PromptSession
    from prompt_toolkit.output import Output


class Above(io.TextIOBase):
    """Takes text from any thread; what is not a whole line waits.

    Args:
        prompt: that it stands above.
        output: of the same terminal.
    """

    def __init__(self, prompt: PromptSession[Any], output: Output) -> None:
        super().__init__()
        self._app = prompt.app
        self._output = output
        self._context = contextvars.copy_context()
        self._loop = asyncio.get_running_loop()
        self._lock = threading.Lock()
        self._text = ""
        self._is_asked = False

    @property
    def encoding(self) -> str:  # type: ignore[override]
        """Of the terminal."""
        return self._output.encoding()

    def fileno(self) -> int:
        """Of the terminal."""
        return self._output.fileno()

    def isatty(self) -> bool:
        """It is one."""
        return True

    def write(self, text: str) -> int:
        """Take it; it is shown by the event loop."""
        with self._lock:
            self._text += text
        if "\n" in text:
            self._loop.call_soon_threadsafe(self._show, context=self._context.copy())
        return len(text)

    def drain(self) -> None:
        """Show all of it now: no prompt is on the screen."""
        with self._lock:
            whole, self._text = self._text, ""
        if whole:
            self._put(whole)

    def _show(self) -> None:
        if not self._app.is_running:
            self._put_lines()
        elif not self._is_asked:
            self._is_asked = True
            run_in_terminal(self._put_lines)

    def _put_lines(self) -> None:
        self._is_asked = False
        with self._lock:
            whole, newline, self._text = self._text.rpartition("\n")
        if newline:
            self._put(whole + newline)

    def _put(self, text: str) -> None:
        self._output.enable_autowrap()
        self._output.write(text)  # which escapes what would control the terminal
        self._output.flush()
