"""The encoder's process, as a sink uses it: watched, and ended where it stops answering."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

import msgpack

from framewire.client.errors import SaveError
from framewire.client.savers.descriptor import write_pipe

from .target import Target

STALLED_AFTER = 5.0
"""Seconds without an answer, after which what is sent to counts as gone."""
_END_SECONDS = 3.0


class Outlet:
    """One opening of a target. `show` raises once it has failed, or stands still.

    Args:
        target: where it sends.
        fps: pictures a second.
        on_shown: told, in another thread, of each picture that was sent, by its number.
        has_sound: whether it sends sound.
    """

    def __init__(
        self, target: Target, fps: float, on_shown: Callable[[int], None], *, has_sound: bool
    ) -> None:
        self._on_shown = on_shown
        self._unanswered: deque[tuple[float, int]] = deque()
        self._reason: str | None = None
        # A session of its own: Ctrl-C at the terminal is the command's, which ends this in time.
        self._process = subprocess.Popen(
            [sys.executable, "-m", "framewire.client.live_output.encoder"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._answers = threading.Thread(target=self._hear, name="hear encoder", daemon=True)
        self._answers.start()
        said = {"place": target.place, "format": target.format, "options": target.options}
        self._send({**said, "fps": fps, "has_sound": has_sound})

    def show(self, number: int, jpeg: bytes | None, sound: bytes) -> None:
        """Send a picture at tick `number`; None repeats the last.

        Args:
            sound: beside it, until the next tick; see `client.sound`.

        Raises:
            SaveError: it has failed, or does not answer; says why, free of secrets.
        """
        self._check()
        self._unanswered.append((time.monotonic(), number))
        self._send((number, jpeg, sound))

    def close(self) -> None:
        """Finish it, if that takes no more than three seconds.

        Raises:
            SaveError: it could not be finished.
        """
        assert self._process.stdin is not None
        with contextlib.suppress(OSError):
            self._process.stdin.close()
        try:
            code = self._process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            self.stop()
            raise SaveError(f"it did not end within {_END_SECONDS:g} s") from None
        self._answers.join(1.0)
        if code:
            raise SaveError(self._reason or "its encoder failed")

    def kill(self) -> None:
        """Have whoever waits for it, in another thread, find its end at once."""
        self._process.kill()

    def stop(self) -> None:
        """End it at once."""
        self._process.kill()
        self._process.wait()
        with contextlib.suppress(OSError):
            self._process.stdin.close()  # type: ignore[union-attr]

    def _check(self) -> None:
        if self._reason is not None or self._process.poll() is not None:
            self._answers.join(1.0)  # which may still have to hear why
            raise SaveError(self._reason or "its encoder ended")
        if self._unanswered and time.monotonic() - self._unanswered[0][0] > STALLED_AFTER:
            raise SaveError(f"it has taken nothing for {STALLED_AFTER:g} s")

    def _send(self, what: Any) -> None:
        assert self._process.stdin is not None
        try:
            write_pipe(self._process.stdin.fileno(), msgpack.packb(what), STALLED_AFTER)
        except TimeoutError:
            raise SaveError(f"it has taken nothing for {STALLED_AFTER:g} s") from None
        except OSError:
            self._answers.join(1.0)
            raise SaveError(self._reason or "its encoder ended") from None

    def _hear(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as answers:
            for line in answers:
                if line != b"\n":
                    self._reason = line.decode(errors="replace").strip()[:500]
                    return
                if self._unanswered:
                    _, number = self._unanswered.popleft()
                    self._on_shown(number)
