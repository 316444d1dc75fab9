"""From an audience and what one replica holds to replicas, waits and money."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from .capacity import Capacity
from .prices import Price
from .queueing import Line, Lines, fewest_replicas

MAX_VIEWERS = 1_000_000
ASSUMPTIONS = (
    "viewers arrive independently of each other (Poisson), at one steady mean rate",
    "sessions are exponentially long, with the mean that is given",
    "one queue for all replicas, in order of arrival, which nobody leaves",
    "a replica is one GPU, and all replicas are alike, up and warm",
)


class OverloadError(ValueError):
    """The replicas that were asked for never catch up."""


@dataclass(frozen=True, slots=True)
class Audience:
    """Who comes, and how long they may wait.

    Attributes:
        viewers: at once, in the mean, if nobody had to wait (the load, in erlangs).
        session: mean seconds of one.
        wait: seconds that `share` of them wait at most.
    """

    viewers: float
    session: float
    wait: float
    share: float

    @property
    def arrivals_an_hour(self) -> float:
        return 3600 * self.viewers / self.session


@dataclass(frozen=True, slots=True)
class Starts:
    """What starting and stopping a replica takes.

    Attributes:
        cold: seconds from its start to its first viewer, paid and without a viewer.
        cold_from: where that number is from.
        keep_alive: seconds that it stays when its last viewer has left, paid likewise.
    """

    cold: float
    cold_from: str
    keep_alive: float


@dataclass(frozen=True, slots=True)
class Plan:
    """So many replicas, and what they give and cost.

    Attributes:
        prices: the cheapest first; never empty.
    """

    audience: Audience
    capacity: Capacity
    starts: Starts
    prices: Sequence[Price]
    replicas: int
    line: Line

    def cost_an_hour(self, price: Price, replicas: int | None = None) -> float:
        return price.usd * (self.replicas if replicas is None else replicas)

    def cost_a_session(self, price: Price) -> float:
        return self.cost_an_hour(price) / self.audience.arrivals_an_hour

    @property
    def utilisation(self) -> float:
        """Of the places, in the mean."""
        return self.line.load / self.line.places

    def around(self) -> Iterator[tuple[int, Line]]:
        """Replicas and their lines, from the fewest that catch up to well beyond the plan's."""
        places = self.capacity.streams
        least = math.floor(self.audience.viewers / places) + 1
        most = self.replicas + max(3, self.replicas - least)
        step = max(1, (most - least) // 200)
        lines = Lines(self.audience.viewers, self.audience.session)
        wanted = {*range(least, most + 1, step), self.replicas, most}
        for replicas in sorted(wanted):
            yield replicas, lines.before(replicas * places)


def make_plan(
    audience: Audience,
    capacity: Capacity,
    starts: Starts,
    prices: Sequence[Price],
    replicas: int | None = None,
) -> Plan:
    """The fewest replicas that keep the wait, or as many as are asked for.

    Raises:
        OverloadError: as many as are asked for hold fewer viewers than come.
    """
    places, load = capacity.streams, audience.viewers
    if replicas is not None and replicas * places <= load:
        raise OverloadError(
            f"{replicas} replicas of {places} hold {replicas * places} viewers, and {load:g} come: "
            f"the line would grow for ever; it takes {math.floor(load / places) + 1} at least"
        )
    if replicas is None:
        replicas = fewest_replicas(load, audience.session, places, audience.wait, audience.share)
    line = Lines(load, audience.session).before(replicas * places)
    return Plan(audience, capacity, starts, prices, replicas, line)
