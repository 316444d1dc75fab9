"""A terminal that a test types into and looks at: Debian's tmux."""

import contextlib
import itertools
import os
import shlex
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from support.required import absent

PATIENCE = 60.0
_NUMBERS = itertools.count()


@dataclass
class Terminal:
    """One window, in which a shell runs."""

    server: str

    def type(self, *keys: str) -> None:
        """Keys by tmux's names (`Enter`, `Up`, `C-c`), or text."""
        self._run("send-keys", *keys)

    def line(self, text: str) -> None:
        """Text, and Enter."""
        self._run("send-keys", "-l", text)
        self.type("Enter")

    def resize(self, columns: int, rows: int) -> None:
        """Another size."""
        self._run("resize-window", "-x", str(columns), "-y", str(rows))

    def screen(self) -> str:
        """What is on it, without what is blank at the ends of rows."""
        return self._run("capture-pane", "-p")

    def all_said(self) -> str:
        """The same with what has left it above; rows that were wrapped are joined."""
        return self._run("capture-pane", "-p", "-J", "-S", "-")

    def until(self, *texts: str) -> str:
        """The screen and what is above it, once all of `texts` are there."""
        deadline = time.monotonic() + PATIENCE
        while not all(text in (said := self.all_said()) for text in texts):
            assert time.monotonic() < deadline, f"{texts} did not come:\n{said}"
            time.sleep(0.05)
        return said

    def _run(self, *arguments: str) -> str:
        command = ["tmux", "-L", self.server, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=PATIENCE)
        return done.stdout


@contextlib.contextmanager
def terminal(
    folder: Path, *command: str, columns: int = 100, rows: int = 30, **env: str
) -> Iterator[Terminal]:
    """One that runs `command` in a folder, then prints its exit code as `code N`."""
    if shutil.which("tmux") is None:
        absent("tmux", "there is no tmux: apt-get install tmux")
    server = f"framewire-{os.getpid()}-{next(_NUMBERS)}"
    script = f"trap : INT; {shlex.join(command)}; echo code $?; exec sleep 1000"
    size = ("-x", str(columns), "-y", str(rows))
    subprocess.run(
        ["tmux", "-L", server, "-f", "/dev/null", "new-session", "-d", *size, "sh", "-c", script],
        check=True,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C.UTF-8", "TERM": "xterm-256color"} | env,
        timeout=PATIENCE,
    )
    try:
        yield Terminal(server)
    finally:
        subprocess.run(["tmux", "-L", server, "kill-server"], check=False, timeout=PATIENCE)
