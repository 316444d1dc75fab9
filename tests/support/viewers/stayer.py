"""A viewer who stays, whatever becomes of the workers, and holds them to every frame and byte."""

import os
from collections import Counter
from typing import Any

from framewire.client import Event, FramewireError, Reconnect, Reconnected, connect

PATIENT = Reconnect(attempts=500, first_delay=0.1, max_delay=1.0, give_up_after=120.0)


def soak_seconds(usual: float) -> float:
    """How long a soak is: `FRAMEWIRE_SOAK_SECONDS`, or what is usual."""
    return float(os.environ.get("FRAMEWIRE_SOAK_SECONDS", usual))


async def stay(
    url: str,
    params: dict[str, Any],
    solo: list[bytes],
    frames: int,
    did: Counter[str],
    leaves_at: int = -1,
    **connecting: Any,
) -> None:
    """One stream through all deaths, each frame compared with what a viewer gets who is alone.

    After a death another worker starts over, so that the frames from there are a stream's first.

    Args:
        solo: the frames of a stream of at least as many blocks.
        frames: how many this one has.
        did: counts frames, reconnects, streams, those left early, and who was turned away before
            his stream began.
        leaves_at: after how many frames he leaves, if before the end.
        connecting: for `connect`.
    """
    told: list[Event] = []
    count, started = 0, False
    try:
        async with connect(url, reconnect=PATIENT, on_event=told.append, **connecting) as session:
            await session.start(**params)
            started = True
            async for frame in session:
                back = [event.frames for event in told if isinstance(event, Reconnected)]
                since = max((at for at in back if at <= frame.index), default=0)
                assert frame.index == count, f"frame {frame.index} after {count} of {params}"
                assert frame.jpeg == solo[frame.index - since], f"frame {count} of {params}"
                count += 1
                if count == leaves_at:
                    break
    except FramewireError:
        if started:  # else it came while there was no worker
            raise
        did["turned away"] += 1
        return
    did["frames"] += count
    did["reconnects"] += sum(isinstance(event, Reconnected) for event in told)
    did["streams"] += 1
    if count == leaves_at:
        did["left early"] += 1
    else:
        assert count == frames, f"{count} frames of {params}"
