"""How a replica learns that Serve means to stop it, which Serve does not tell it.

Serve waits until a stopping replica's requests have ended, and cuts them after a time; the replica
itself hears nothing until then. Its state stands in Serve's details, however.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator, Mapping
from typing import Any

logger = logging.getLogger(__name__)

_EVERY = 0.25
_PER_REPLICA = 0.02
"""Seconds between two looks, and what each replica adds: all of them ask one controller."""
_GONE = "STOPPING"


async def until_stopping(details: Callable[[], Mapping[str, Any]], replica: str) -> None:
    """Wait until the replica of this id is to be stopped; for ever where that cannot be told.

    Args:
        details: Serve's, as `serve.schema.ServeInstanceDetails` has them; may block.
    """
    failed = False
    while True:
        pause = _EVERY
        try:
            states = dict(_states(await asyncio.to_thread(details)))
        except Exception as error:  # noqa: BLE001 (a restarting controller raises many things)
            if not failed:
                logger.warning(
                    "cannot read Serve's details (%s): until that works again, sessions are cut "
                    "where this replica is stopped",
                    type(error).__name__,
                )
            failed = True
        else:
            failed = False
            if states.get(replica) == _GONE:
                return
            pause += _PER_REPLICA * len(states)
        await asyncio.sleep(pause)


def _states(details: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Ids and states of all replicas."""
    for app in details["applications"].values():
        for deployment in app["deployments"].values():
            for replica in deployment["replicas"]:
                yield (
                    replica["replica_id"],
                    str(getattr(replica["state"], "value", replica["state"])),
                )
