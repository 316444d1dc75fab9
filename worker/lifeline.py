"""A worker that ends with the program that started it, however that one ends.

That program holds the other end of standard input and never writes: the system closes it, on every
platform, when the program is gone. Proven on Linux; unproven on macOS and Windows.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time

SECONDS_TO_END = 5.0
"""From the end of standard input to the end of this process, by force then: nobody watches."""


def hold_lifeline(stdin: int = 0) -> None:
    """Drain, as by SIGTERM, when `stdin` ends."""
    threading.Thread(target=_watch, args=(stdin,), name="lifeline", daemon=True).start()


def _watch(stdin: int) -> None:
    with contextlib.suppress(OSError):
        while os.read(stdin, 4096):
            pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(SECONDS_TO_END)
    os._exit(1)
