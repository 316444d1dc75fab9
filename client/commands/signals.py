"""Signals that end a command as Ctrl-C does: files are closed, workers stopped, reports printed."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine
from types import FrameType
from typing import Any

_ENDING = tuple(
    getattr(signal, name)
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
    if hasattr(signal, name)
)


def run(work: Coroutine[Any, Any, int]) -> int:
    """Run `work` to its exit code; 128 and the signal's number where a signal cancelled it.

    The first signal cancels, and so does the second, for `work` to end at once: between two steps
    of the loop, since an exception in the midst of one leaves things half done. A third one raises,
    wherever it comes. What is ignored (nohup) stays ignored.
    """
    came: list[int] = []
    try:
        with asyncio.Runner() as runner:
            return runner.run(_cancelled_by_signals(work, came))
    except KeyboardInterrupt:
        return 128 + (came[0] if came else signal.SIGINT)
    except asyncio.CancelledError:
        if not came:
            raise
        return 128 + came[0]


async def _cancelled_by_signals(work: Coroutine[Any, Any, int], came: list[int]) -> int:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None

    def end(number: int, frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 2:
            raise KeyboardInterrupt
        loop.call_soon_threadsafe(task.cancel)

    if threading.current_thread() is not threading.main_thread():
        return await work
    before = {number: signal.getsignal(number) for number in _ENDING}
    ours = [
        number
        for number, handler in before.items()
        if handler is signal.SIG_DFL or (number == signal.SIGINT and handler != signal.SIG_IGN)
    ]
    for number in ours:
        signal.signal(number, end)
    try:
        return await work
    finally:
        for number in ours:
            signal.signal(number, before[number])
