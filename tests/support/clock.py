"""A running loop's clock that jumps: time-outs are met without waiting for them.

A time-out of seconds can then be long enough for no busy machine to meet it by itself.
"""

import asyncio


def time_passes(seconds: float) -> None:
    """What the running loop has to do within so many seconds is due now.

    Time-outs of the test's own, of whatever it awaits meanwhile, are due as well.
    """
    loop = asyncio.get_running_loop()
    now = loop.time
    loop.time = lambda: now() + seconds  # type: ignore[method-assign]


async def at_rest() -> None:
    """Let every task that waits for no thread and no peer run on to where it waits for time."""
    for _ in range(50):
        await asyncio.sleep(0)
