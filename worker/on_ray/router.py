"""Which replica a viewer is sent to: the one with the fewest open sockets.

Serve's own router goes by counts that it remembers for ten seconds, and by who is near: good for
requests that come in hundreds, but sockets are few, stay for long, and never move.
"""

from __future__ import annotations

import asyncio
import math
import random

from ray.exceptions import RayError
from ray.serve.request_router import FIFOMixin, PendingRequest, RequestRouter, RunningReplica

_PATIENCE = 1.0
"""Seconds that a replica has to say how many requests it has; else it comes last."""


class FewestSockets(FIFOMixin, RequestRouter):
    """Asks every replica for each request; of equals, any."""

    async def choose_replicas(
        self,
        candidate_replicas: list[RunningReplica],
        pending_request: PendingRequest | None = None,
    ) -> list[list[RunningReplica]]:
        """All of them one by one, in the order in which they are to be tried."""
        loads = await asyncio.gather(*map(_load, candidate_replicas))
        order = sorted(range(len(loads)), key=lambda place: (loads[place], random.random()))
        return [[candidate_replicas[place]] for place in order]


async def _load(replica: RunningReplica) -> float:
    try:
        async with asyncio.timeout(_PATIENCE):
            return float(await replica.get_queue_len(deadline_s=_PATIENCE))
    except (RayError, TimeoutError):  # it is dying, or busy
        return math.inf
