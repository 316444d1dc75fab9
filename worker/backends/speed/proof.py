"""Whether options do here what they should, tried in a process of its own.

A fault of a GPU, or of what a compiler has made, ends the process that it happens in, and nothing
can be said about how long it takes; so a child tries them, and is ended when it is overdue. This
is the worker's end of it; `child` is the other one.
"""

from __future__ import annotations

import json
import logging
import math
import os
import pickle
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Self

from framewire.worker.backends.children import environment
from framewire.worker.engine.options import EngineOptions
from framewire.worker.engine.preset import Preset

CHILD = "framewire.worker.backends.speed.child"
_MOST_WORDS = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """What options are tried on.

    Attributes:
        device, dtype, vae_dtype: as torch calls them.
        threads: of a CPU; 0 leaves them to torch.
    """

    preset: Preset
    device: str
    dtype: str
    vae_dtype: str
    threads: int


class Unproven(Exception):
    """The options cannot be used here; the message says why, in a line."""


class Prover:
    """Asks a child, and starts another after one that has failed.

    Args:
        seconds: that an answer may take, and the start of the child before it.
        module: of the child.
    """

    def __init__(self, subject: Subject, seconds: float, module: str = CHILD) -> None:
        self._subject = subject
        self._seconds = seconds
        self._module = module
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def error(self, options: EngineOptions) -> float:
        """How far a stream of these options is off from the plain one, relative to its size.

        Raises:
            Unproven: it fails, ends the child or takes too long.
        """
        try:
            channel = self._channel or self._start()
            channel.send_bytes(pickle.dumps(options))
            return self._answer(channel)
        except (EOFError, OSError):
            raise Unproven(f"it {self._end()}") from None
        except Unproven:
            self.close()
            raise

    def close(self) -> None:
        """Kill the child, and what it has started; the child is gone when this returns."""
        process, self._process = self._process, None
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        if process is None:
            return
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            with suppress(OSError):
                process.stdin.close()

    def _start(self) -> Connection:
        theirs, ours = Pipe()
        quiet = not logging.getLogger("framewire").isEnabledFor(logging.DEBUG)
        with theirs:
            self._process = process = subprocess.Popen(
                [sys.executable, "-m", self._module, str(theirs.fileno())],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL if quiet else None,
                env=environment(),
                pass_fds=(theirs.fileno(),),
                start_new_session=True,
            )
        self._channel = ours
        assert process.stdin is not None
        ours.send_bytes(pickle.dumps(self._subject))
        self._said(ours)
        return ours

    def _answer(self, channel: Connection) -> float:
        said = self._said(channel)
        if "failed" in said:
            raise Unproven(f"it fails: {_plain(str(said['failed']))}")
        error = said.get("error")
        if not isinstance(error, int | float):
            raise Unproven("its process answers what makes no sense")
        return math.inf if math.isnan(error) else float(error)

    def _said(self, channel: Connection) -> dict[str, object]:
        if not channel.poll(self._seconds):
            raise Unproven(f"it takes more than {self._seconds:g} s")
        try:
            said = json.loads(channel.recv_bytes())
        except ValueError:
            said = None
        if not isinstance(said, dict):
            raise Unproven("its process answers what makes no sense")
        return said

    def _end(self) -> str:
        """How the child has ended, in words; what is left of it ends too."""
        process = self._process
        code = None
        if process is not None:
            with suppress(subprocess.TimeoutExpired):
                code = process.wait(self._seconds)
        self.close()
        if code is None:
            return "closes its channel"
        if code < 0:
            with suppress(ValueError):
                return f"crashes ({signal.Signals(-code).name})"
        return f"ends its process (exit status {code})"


def _plain(text: str) -> str:
    """One line that a terminal can be given."""
    line = "".join(sign if sign.isprintable() else " " for sign in text)
    return line if len(line) <= _MOST_WORDS else f"{line[:_MOST_WORDS]}…"
